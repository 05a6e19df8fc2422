package pointstore.interop;

import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.util.List;
import java.util.concurrent.TimeUnit;
import qdrant.CollectionsGrpc;
import qdrant.CollectionsGrpc.CollectionsBlockingStub;
import qdrant.Collections.CreateCollection;
import qdrant.Collections.DeleteCollection;
import qdrant.Collections.Distance;
import qdrant.Collections.VectorParams;
import qdrant.Collections.VectorsConfig;
import qdrant.Common.PointId;
import qdrant.JsonWithInt.Value;
import qdrant.Points.DenseVector;
import qdrant.Points.PointStruct;
import qdrant.Points.Query;
import qdrant.Points.QueryPoints;
import qdrant.Points.ScrollPoints;
import qdrant.Points.UpdateStatus;
import qdrant.Points.UpsertPoints;
import qdrant.Points.Vector;
import qdrant.Points.VectorInput;
import qdrant.Points.Vectors;
import qdrant.PointsGrpc;
import qdrant.PointsGrpc.PointsBlockingStub;

/**
 * A round trip with stubs that the grpc-java plugin generated from {@code proto/}, without the official client.
 *
 * <p>Usage: {@code Stubs HOST:PORT}. Ends with status 0, or with the first check that does not hold.
 */
public final class Stubs {
  private static final String NAME = "java-stubs";

  private Stubs() {}

  public static void main(String[] arguments) throws InterruptedException {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    try {
      CollectionsBlockingStub collections = CollectionsGrpc.newBlockingStub(channel);
      DeleteCollection drop = DeleteCollection.newBuilder().setCollectionName(NAME).build();
      collections.delete(drop);
      create(collections);
      roundTrip(PointsGrpc.newBlockingStub(channel));
      check(collections.delete(drop).getResult(), "dropped");
    } finally {
      channel.shutdown().awaitTermination(10, TimeUnit.SECONDS);
    }
    System.out.println("made a round trip");
  }

  private static void create(CollectionsBlockingStub collections) {
    VectorParams params = VectorParams.newBuilder().setSize(4).setDistance(Distance.Dot).build();
    CreateCollection request =
        CreateCollection.newBuilder()
            .setCollectionName(NAME)
            .setVectorsConfig(VectorsConfig.newBuilder().setParams(params))
            .build();
    check(collections.create(request).getResult(), "created");
  }

  private static void roundTrip(PointsBlockingStub points) {
    UpsertPoints upsert =
        UpsertPoints.newBuilder()
            .setCollectionName(NAME)
            .setWait(true)
            .addPoints(point(1, 1f, 0f, 0f, 0f))
            .addPoints(point(2, 0f, 2f, 0f, 0f))
            .build();
    UpdateStatus status = points.upsert(upsert).getResult().getStatus();
    check(status == UpdateStatus.Completed, "status " + status);

    VectorInput nearest = VectorInput.newBuilder().setDense(dense(0f, 1f, 0f, 0f)).build();
    QueryPoints query =
        QueryPoints.newBuilder()
            .setCollectionName(NAME)
            .setQuery(Query.newBuilder().setNearest(nearest))
            .setLimit(1)
            .build();
    var hits = points.query(query).getResultList();
    check(hits.size() == 1 && hits.get(0).getId().getNum() == 2, "hits " + hits);
    check(hits.get(0).getScore() == 2f, "score " + hits.get(0).getScore());

    var page = points.scroll(ScrollPoints.newBuilder().setCollectionName(NAME).build());
    List<Long> ids = page.getResultList().stream().map(each -> each.getId().getNum()).toList();
    check(ids.equals(List.of(1L, 2L)), "ids " + ids);
    String city = page.getResult(0).getPayloadOrThrow("city").getStringValue();
    check(city.equals("Berlin"), "city " + city);
    check(!page.hasNextPageOffset(), "a next page");
  }

  private static PointStruct point(long id, float... vector) {
    return PointStruct.newBuilder()
        .setId(PointId.newBuilder().setNum(id))
        .putPayload("city", Value.newBuilder().setStringValue("Berlin").build())
        .setVectors(Vectors.newBuilder().setVector(Vector.newBuilder().setDense(dense(vector))))
        .build();
  }

  private static DenseVector dense(float... values) {
    DenseVector.Builder built = DenseVector.newBuilder();
    for (float value : values) {
      built.addData(value);
    }
    return built.build();
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }
}
