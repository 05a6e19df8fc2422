package pointstore.interop;

import static io.qdrant.client.PointIdFactory.id;

import io.qdrant.client.QdrantClient;
import io.qdrant.client.ValueFactory;
import io.qdrant.client.grpc.Collections.CreateCollection;
import io.qdrant.client.grpc.Collections.Distance;
import io.qdrant.client.grpc.Collections.VectorParams;
import io.qdrant.client.grpc.Collections.VectorsConfig;
import io.qdrant.client.grpc.Common.PointId;
import io.qdrant.client.grpc.JsonWithInt.Value;
import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.RetrievedPoint;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A collection that a part of the walk has for itself, and what all parts do with theirs. */
record Collection(QdrantClient client, String name) {

  /** Creates it with one unnamed vector, in place of one that an earlier run has left. */
  void createPlain(int size) throws Exception {
    create(
        CreateCollection.newBuilder()
            .setVectorsConfig(VectorsConfig.newBuilder().setParams(dense(size)))
            .build());
  }

  void create(CreateCollection request) throws Exception {
    if (client.collectionExistsAsync(name).get()) {
      drop();
    }
    CreateCollection named = request.toBuilder().setCollectionName(name).build();
    Check.that(client.createCollectionAsync(named).get().getResult(), "created");
  }

  void drop() throws Exception {
    Check.that(client.deleteCollectionAsync(name).get().getResult(), "dropped");
  }

  /** Upserts points; this form of the client's waits. */
  void put(PointStruct... points) throws Exception {
    Check.completed(client.upsertAsync(name, List.of(points)));
  }

  /** Reads one point with everything it has. */
  RetrievedPoint read(PointId pointId) throws Exception {
    List<RetrievedPoint> found =
        client.retrieveAsync(name, List.of(pointId), true, true, null).get();
    Check.same(found.size(), 1);
    return found.get(0);
  }

  long count() throws Exception {
    return client.countAsync(name).get();
  }

  static VectorParams dense(int size) {
    return VectorParams.newBuilder().setSize(size).setDistance(Distance.Dot).build();
  }

  static List<PointId> ids(long... numbers) {
    return Arrays.stream(numbers).mapToObj(number -> id(number)).toList();
  }

  static List<Long> numbers(List<RetrievedPoint> points) {
    return points.stream().map(point -> point.getId().getNum()).toList();
  }

  /** The payload of whole numbers, texts and objects of them as plain Java, comparable with Map.of. */
  static Map<String, Object> plain(Map<String, Value> payload) {
    Map<String, Object> plain = new TreeMap<>();
    payload.forEach((key, value) -> plain.put(key, plain(value)));
    return plain;
  }

  private static Object plain(Value value) {
    return switch (value.getKindCase()) {
      case BOOL_VALUE -> value.getBoolValue();
      case INTEGER_VALUE -> value.getIntegerValue();
      case DOUBLE_VALUE -> value.getDoubleValue();
      case STRING_VALUE -> value.getStringValue();
      case STRUCT_VALUE -> plain(value.getStructValue().getFieldsMap());
      default -> throw new AssertionError("an unexpected value: " + value);
    };
  }

  static Map<String, Value> payload(String key, Object value) {
    if (value instanceof Number number) {
      return Map.of(key, ValueFactory.value(number.longValue()));
    }
    return Map.of(key, ValueFactory.value((String) value));
  }
}
