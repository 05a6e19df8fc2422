package pointstore.interop;

import static io.qdrant.client.PointIdFactory.id;
import static io.qdrant.client.QueryFactory.nearest;
import static io.qdrant.client.VectorFactory.multiVector;
import static io.qdrant.client.VectorFactory.vector;
import static io.qdrant.client.VectorsFactory.namedVectors;

import io.grpc.Status.Code;
import io.qdrant.client.VectorOutputHelper;
import io.qdrant.client.WithPayloadSelectorFactory;
import io.qdrant.client.WithVectorsSelectorFactory;
import io.qdrant.client.grpc.Collections.CreateCollection;
import io.qdrant.client.grpc.Collections.MultiVectorComparator;
import io.qdrant.client.grpc.Collections.MultiVectorConfig;
import io.qdrant.client.grpc.Collections.SparseVectorConfig;
import io.qdrant.client.grpc.Collections.SparseVectorParams;
import io.qdrant.client.grpc.Collections.VectorParamsMap;
import io.qdrant.client.grpc.Collections.VectorsConfig;
import io.qdrant.client.grpc.Points.DenseVector;
import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.PointVectors;
import io.qdrant.client.grpc.Points.QueryPoints;
import io.qdrant.client.grpc.Points.Vector;
import io.qdrant.client.grpc.Points.VectorOutput;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Named, sparse and multi-vectors: written, some left out, updated, deleted, searched. */
final class VectorsWalk {
  private static final List<Float> IMAGE = List.of(0.9f, 0.1f, 0.1f, 0.2f);
  private static final List<Float> TEXT = List.of(0.4f, 0.7f, 0.1f, 0.8f, 0.1f, 0.1f, 0.9f, 0.2f);

  private final Collection points;

  VectorsWalk(Collection points) {
    this.points = points;
  }

  void walk() throws Exception {
    create();
    named();
    sparseAndMulti();
    update();
    deletion();
    points.drop();
  }

  private void create() throws Exception {
    MultiVectorConfig rows =
        MultiVectorConfig.newBuilder().setComparator(MultiVectorComparator.MaxSim).build();
    VectorParamsMap dense =
        VectorParamsMap.newBuilder()
            .putMap("image", Collection.dense(4))
            .putMap("text", Collection.dense(8))
            .putMap(
                "tokens", Collection.dense(2).toBuilder().setMultivectorConfig(rows).build())
            .build();
    points.create(
        CreateCollection.newBuilder()
            .setVectorsConfig(VectorsConfig.newBuilder().setParamsMap(dense))
            .setSparseVectorsConfig(
                SparseVectorConfig.newBuilder()
                    .putMap("terms", SparseVectorParams.getDefaultInstance()))
            .build());
  }

  private static PointStruct point(long number, Map<String, Vector> vectors) {
    return PointStruct.newBuilder().setId(id(number)).setVectors(namedVectors(vectors)).build();
  }

  private Map<String, VectorOutput> vectors(long number) throws Exception {
    return points.read(id(number)).getVectors().getVectors().getVectorsMap();
  }

  private static List<Float> dense(VectorOutput vector) {
    return VectorOutputHelper.getDenseVector(vector).getDataList();
  }

  private void named() throws Exception {
    Map<String, Vector> both = Map.of("image", vector(IMAGE), "text", vector(TEXT));
    points.put(
        point(1, both),
        point(2, both),
        point(3, Map.of("image", vector(0.2f, 0.1f, 0.3f, 0.9f))),
        point(4, Map.of("text", vector(TEXT))));
    Check.same(vectors(1).keySet(), Set.of("image", "text"));
    Check.same(dense(vectors(1).get("image")), IMAGE);
    Check.same(dense(vectors(1).get("text")), TEXT);
    Check.same(vectors(3).keySet(), Set.of("image"));
    Check.same(vectors(4).keySet(), Set.of("text"));
    // Written again with one vector, a point has only that.
    points.put(point(2, Map.of("text", vector(TEXT))));
    Check.same(vectors(2).keySet(), Set.of("text"));
    var found =
        points
            .client()
            .retrieveAsync(
                points.name(),
                Collection.ids(1),
                WithPayloadSelectorFactory.enable(false),
                WithVectorsSelectorFactory.include(List.of("image")),
                null)
            .get();
    Check.same(found.get(0).getVectors().getVectors().getVectorsMap().keySet(), Set.of("image"));
    QueryPoints query =
        QueryPoints.newBuilder()
            .setCollectionName(points.name())
            .setQuery(nearest(IMAGE))
            .setUsing("image")
            .build();
    var hits = points.client().queryAsync(query).get();
    Check.same(hits.stream().map(hit -> hit.getId().getNum()).toList(), List.of(1L, 3L));
    Check.that(Math.abs(hits.get(0).getScore() - 0.87f) < 1e-5f, "score of " + hits.get(0));
    PointStruct wrong = point(5, Map.of("image", vector(0.5f, 0.5f, 0.5f)));
    Check.refused(
        points.client().upsertAsync(points.name(), List.of(wrong)), Code.INVALID_ARGUMENT);
  }

  private void sparseAndMulti() throws Exception {
    points.put(
        point(6, Map.of("terms", vector(List.of(2f, 0.5f, 1f), List.of(7, 1, 6)))),
        point(
            7,
            Map.of("tokens", multiVector(new float[][] {{0.1f, 0.2f}, {0.3f, 0.4f}, {0.5f, 0.6f}}))));
    var sparse = VectorOutputHelper.getSparseVector(vectors(6).get("terms"));
    Check.same(sparse.getIndicesList(), List.of(1, 6, 7));
    Check.same(sparse.getValuesList(), List.of(0.5f, 1f, 2f));
    List<DenseVector> rows =
        VectorOutputHelper.getMultiVector(vectors(7).get("tokens")).getVectorsList();
    Check.same(
        rows.stream().map(DenseVector::getDataList).toList(),
        List.of(List.of(0.1f, 0.2f), List.of(0.3f, 0.4f), List.of(0.5f, 0.6f)));
    PointStruct twice = point(8, Map.of("terms", vector(List.of(0.1f, 0.2f), List.of(1, 1))));
    Check.refused(
        points.client().upsertAsync(points.name(), List.of(twice)), Code.INVALID_ARGUMENT);
  }

  private static PointVectors image(long number, Float... values) {
    return PointVectors.newBuilder()
        .setId(id(number))
        .setVectors(namedVectors(Map.of("image", vector(List.of(values)))))
        .build();
  }

  private void update() throws Exception {
    Check.completed(
        points
            .client()
            .updateVectorsAsync(
                points.name(),
                List.of(image(1, 0.1f, 0.2f, 0.3f, 0.4f), image(2, 0.4f, 0.3f, 0.2f, 0.1f))));
    Check.same(dense(vectors(1).get("image")), List.of(0.1f, 0.2f, 0.3f, 0.4f));
    Check.same(dense(vectors(1).get("text")), TEXT);
    Check.same(dense(vectors(2).get("image")), List.of(0.4f, 0.3f, 0.2f, 0.1f));
    Check.same(vectors(2).keySet(), Set.of("image", "text"));
    List<PointVectors> missing = List.of(image(99, 0.1f, 0.2f, 0.3f, 0.4f));
    Check.refused(points.client().updateVectorsAsync(points.name(), missing), Code.NOT_FOUND);
  }

  private void deletion() throws Exception {
    Map<String, Vector> text = Map.of("text", vector(TEXT));
    points.put(point(0, text), point(10, text));
    List<String> names = List.of("text", "image");
    Check.completed(
        points.client().deleteVectorsAsync(points.name(), names, Collection.ids(0, 3, 10)));
    for (long number : List.of(0, 3, 10)) {
      Check.same(vectors(number).keySet(), Set.of());
    }
    Check.same(vectors(1).keySet(), Set.of("image", "text"));
    Check.refused(
        points.client().deleteVectorsAsync(points.name(), names, Collection.ids(0, 3, 99)),
        Code.NOT_FOUND);
  }
}
