package pointstore.interop;

import static io.qdrant.client.PointIdFactory.id;
import static io.qdrant.client.VectorsFactory.vectors;

import io.grpc.Status.Code;
import io.qdrant.client.grpc.Common.PointId;
import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.UpdateStatus;
import io.qdrant.client.grpc.Points.UpsertPoints;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Ids as numbers and UUIDs in every spelling, writing twice, waiting or not. */
final class IdsWalk {
  private static final UUID SAME = UUID.fromString("f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4");
  private static final List<String> SPELLINGS =
      List.of(
          "F9168C5ECEB24faaB6BF329BF39FA1E4",
          "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4",
          "F9168C5E-CEB2-4FAA-B6BF-329BF39FA1E4",
          "urn:uuid:F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4",
          "{F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4}");
  // As the unsigned number that the wire has.
  private static final long GREATEST = -1L;

  private final Collection points;

  IdsWalk(Collection points) {
    this.points = points;
  }

  void walk() throws Exception {
    points.createPlain(3);
    spellings();
    numbers();
    waiting();
    deletion();
    points.drop();
  }

  private static PointId spelled(String uuid) {
    return PointId.newBuilder().setUuid(uuid).build();
  }

  private static PointStruct color(PointId pointId, String color) {
    return PointStruct.newBuilder()
        .setId(pointId)
        .setVectors(vectors(0.9f, 0.1f, 0.1f))
        .putAllPayload(Collection.payload("color", color))
        .build();
  }

  private void assertColor(PointId pointId, String color) throws Exception {
    var found = points.read(pointId);
    Check.same(Collection.plain(found.getPayloadMap()), Map.of("color", color));
    Check.same(found.getVectors().getVector().getDense().getDataList(), List.of(0.9f, 0.1f, 0.1f));
  }

  private void spellings() throws Exception {
    points.put(color(id(SAME), "red"));
    assertColor(id(SAME), "red");
    for (String spelling : SPELLINGS) {
      points.put(color(spelled(spelling), spelling));
      Check.same(points.count(), 1L);
      for (String other : SPELLINGS) {
        Check.same(points.read(spelled(other)).getId(), id(SAME));
        assertColor(spelled(other), spelling);
      }
    }
    PointStruct wrong = color(spelled("f9168c5e"), "red");
    Check.refused(
        points.client().upsertAsync(points.name(), List.of(wrong)), Code.INVALID_ARGUMENT);
  }

  private void numbers() throws Exception {
    for (int turn = 0; turn < 2; turn++) {
      points.put(color(id(1), "red"), color(id(2), "green"), color(id(GREATEST), "blue"));
      Check.same(points.count(), 4L);
      assertColor(id(GREATEST), "blue");
      Check.same(points.read(id(GREATEST)).getId().getNum(), GREATEST);
    }
    // Written again, a point is replaced as a whole.
    points.put(
        color(id(2), "green").toBuilder()
            .clearPayload()
            .putAllPayload(Collection.payload("size", 7))
            .build());
    Check.same(Collection.plain(points.read(id(2)).getPayloadMap()), Map.of("size", 7L));
  }

  private void waiting() throws Exception {
    UpsertPoints plain =
        UpsertPoints.newBuilder()
            .setCollectionName(points.name())
            .addPoints(color(id(3), "blue"))
            .build();
    var first = points.client().upsertAsync(plain.toBuilder().setWait(true).build()).get();
    var second = points.client().upsertAsync(plain.toBuilder().setWait(false).build()).get();
    var third = points.client().upsertAsync(plain).get();
    Check.same(first.getStatus(), UpdateStatus.Completed);
    Check.same(second.getStatus(), UpdateStatus.Acknowledged);
    Check.same(third.getStatus(), UpdateStatus.Acknowledged);
    Check.that(first.getOperationId() < second.getOperationId(), "ascending numbers");
    Check.that(second.getOperationId() < third.getOperationId(), "ascending numbers");
  }

  private void deletion() throws Exception {
    List<PointId> gone = List.of(id(0), id(3), spelled(SPELLINGS.get(3)));
    Check.completed(points.client().deleteAsync(points.name(), gone));
    Check.same(points.count(), 3L);
  }
}
