package pointstore.interop;

import io.grpc.Status.Code;
import io.qdrant.client.QdrantClient;
import io.qdrant.client.QdrantGrpcClient;

/**
 * The official client walks through the Points page of the documentation and checks every result.
 *
 * <p>Usage: {@code Walk HOST:PORT}. Ends with status 0, or with the first check that does not hold.
 */
public final class Walk {
  private Walk() {}

  public static void main(String[] arguments) throws Exception {
    String[] address = arguments[0].split(":");
    // Without its check of versions, which is a call of its own and only logs.
    QdrantGrpcClient connection =
        QdrantGrpcClient.newBuilder(address[0], Integer.parseInt(address[1]), false, false).build();
    try (QdrantClient client = new QdrantClient(connection)) {
      new IdsWalk(new Collection(client, "java-ids")).walk();
      new VectorsWalk(new Collection(client, "java-vectors")).walk();
      new PayloadsWalk(new Collection(client, "java-payloads")).walk();
      new ReadsWalk(new Collection(client, "java-reads")).walk();
      new BatchesWalk(new Collection(client, "java-batches")).walk();
      Check.same(
          Check.refused(client.countAsync("java-none"), Code.NOT_FOUND),
          "Not found: Collection `java-none` doesn't exist!");
    }
    System.out.println("walked through the Points page");
  }
}
