package pointstore.interop;

import static io.qdrant.client.ConditionFactory.matchKeyword;
import static io.qdrant.client.PointIdFactory.id;
import static io.qdrant.client.ValueFactory.value;
import static io.qdrant.client.VectorsFactory.vectors;

import io.qdrant.client.QdrantClient;
import io.qdrant.client.grpc.Common.Filter;
import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.PointsIdsList;
import io.qdrant.client.grpc.Points.PointsSelector;
import io.qdrant.client.grpc.Points.ScrollPoints;
import java.util.List;
import java.util.Map;

/** Payload: set, overwritten, its keys deleted, cleared; by ids and by filter. */
final class PayloadsWalk {
  private static final Filter RED =
      Filter.newBuilder().addMust(matchKeyword("color", "red")).build();

  private final Collection points;
  private final QdrantClient client;

  PayloadsWalk(Collection points) {
    this.points = points;
    this.client = points.client();
  }

  void walk() throws Exception {
    points.createPlain(2);
    for (long number = 0; number < 6; number++) {
      points.put(
          PointStruct.newBuilder()
              .setId(id(number))
              .setVectors(vectors(1f, number))
              .putPayload("color", value(number % 2 == 0 ? "red" : "green"))
              .build());
    }
    set();
    overwriteAndRemove();
    deletion();
    points.drop();
  }

  private void assertPayload(long number, Map<String, Object> expected) throws Exception {
    Check.same(Collection.plain(points.read(id(number)).getPayloadMap()), expected);
  }

  private void set() throws Exception {
    var payload = Map.of("size", value(7), "box", value(Map.of("width", value(1.5))));
    Check.completed(
        client.setPayloadAsync(points.name(), payload, Collection.ids(0, 1), true, null, null));
    Map<String, Object> box = Map.of("width", 1.5);
    assertPayload(0, Map.of("color", "red", "size", 7L, "box", box));
    assertPayload(1, Map.of("color", "green", "size", 7L, "box", box));
    // Into an object inside.
    PointsSelector first =
        PointsSelector.newBuilder()
            .setPoints(PointsIdsList.newBuilder().addIds(id(0)))
            .build();
    var depth = Map.of("depth", value(2));
    Check.completed(
        client.setPayloadAsync(points.name(), depth, first, true, "box", null, null));
    Map<String, Object> deeper = Map.of("width", 1.5, "depth", 2L);
    assertPayload(0, Map.of("color", "red", "size", 7L, "box", deeper));
    var warm = Map.of("warm", value(true));
    Check.completed(client.setPayloadAsync(points.name(), warm, RED, true, null, null));
    assertPayload(4, Map.of("color", "red", "warm", true));
    assertPayload(5, Map.of("color", "green"));
  }

  private void overwriteAndRemove() throws Exception {
    var blue = Map.of("color", value("blue"));
    Check.completed(client.overwritePayloadAsync(points.name(), blue, id(0), true, null, null));
    assertPayload(0, Map.of("color", "blue"));
    List<String> keys = List.of("size", "box.width");
    Check.completed(client.deletePayloadAsync(points.name(), keys, id(1), true, null, null));
    assertPayload(1, Map.of("color", "green", "box", Map.of()));
    Check.completed(client.clearPayloadAsync(points.name(), id(3), true, null, null));
    assertPayload(3, Map.of());
  }

  private void deletion() throws Exception {
    Check.completed(client.deleteAsync(points.name(), RED));
    ScrollPoints all = ScrollPoints.newBuilder().setCollectionName(points.name()).build();
    var left = client.scrollAsync(all).get().getResultList();
    Check.same(Collection.numbers(left), List.of(0L, 1L, 3L, 5L));
  }
}
