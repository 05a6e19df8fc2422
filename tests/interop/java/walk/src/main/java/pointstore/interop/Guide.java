package pointstore.interop;

import static io.qdrant.client.ConditionFactory.matchKeyword;
import static io.qdrant.client.PointIdFactory.id;
import static io.qdrant.client.QueryFactory.nearest;
import static io.qdrant.client.ValueFactory.value;
import static io.qdrant.client.VectorsFactory.vectors;
import static io.qdrant.client.WithPayloadSelectorFactory.enable;

import io.grpc.Status;
import io.qdrant.client.QdrantClient;
import io.qdrant.client.QdrantGrpcClient;
import io.qdrant.client.grpc.Collections.Distance;
import io.qdrant.client.grpc.Collections.VectorParams;
import io.qdrant.client.grpc.Common.Filter;
import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.QueryPoints;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ExecutionException;

public final class Guide {
  private Guide() {}

  public static void main(String[] arguments) throws Exception {
    String[] address = arguments[0].split(":");
    QdrantGrpcClient connection =
        QdrantGrpcClient.newBuilder(address[0], Integer.parseInt(address[1]), false)
            .withTimeout(Duration.ofSeconds(30))
            .build();
    try (QdrantClient client = new QdrantClient(connection)) {
      VectorParams params =
          VectorParams.newBuilder().setSize(4).setDistance(Distance.Cosine).build();
      client.createCollectionAsync("guide-java", params).get();
      client
          .upsertAsync(
              "guide-java",
              List.of(
                  PointStruct.newBuilder()
                      .setId(id(1))
                      .setVectors(vectors(0.05f, 0.61f, 0.76f, 0.74f))
                      .putPayload("city", value("Berlin"))
                      .build(),
                  PointStruct.newBuilder()
                      .setId(id(2))
                      .setVectors(vectors(0.19f, 0.81f, 0.75f, 0.11f))
                      .putPayload("city", value("London"))
                      .build()))
          .get();
      QueryPoints query =
          QueryPoints.newBuilder()
              .setCollectionName("guide-java")
              .setQuery(nearest(0.2f, 0.1f, 0.9f, 0.7f))
              .setFilter(Filter.newBuilder().addMust(matchKeyword("city", "London")))
              .setLimit(3)
              .setWithPayload(enable(true))
              .build();
      client.queryAsync(query).get().forEach(System.out::println);
      try {
        client.retrieveAsync("no-such-collection", id(1), null).get();
      } catch (ExecutionException error) {
        Status status = Status.fromThrowable(error);
        System.out.println(status.getCode() + ": " + status.getDescription());
      }
      client.deleteCollectionAsync("guide-java").get();
    }
  }
}
