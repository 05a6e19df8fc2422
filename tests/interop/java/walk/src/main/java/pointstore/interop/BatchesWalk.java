package pointstore.interop;

import static io.qdrant.client.PointIdFactory.id;
import static io.qdrant.client.ValueFactory.value;
import static io.qdrant.client.VectorsFactory.vectors;

import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.PointVectors;
import io.qdrant.client.grpc.Points.PointsIdsList;
import io.qdrant.client.grpc.Points.PointsSelector;
import io.qdrant.client.grpc.Points.PointsUpdateOperation;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.ClearPayload;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.DeletePayload;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.DeletePoints;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.DeleteVectors;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.OverwritePayload;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.PointStructList;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.SetPayload;
import io.qdrant.client.grpc.Points.PointsUpdateOperation.UpdateVectors;
import io.qdrant.client.grpc.Points.RetrievedPoint;
import io.qdrant.client.grpc.Points.UpdateResult;
import io.qdrant.client.grpc.Points.UpdateStatus;
import io.qdrant.client.grpc.Points.VectorsSelector;
import java.util.List;
import java.util.Map;

/** A batch of all eight operations, applied in their order. */
final class BatchesWalk {
  private static final PointsSelector FIRST =
      PointsSelector.newBuilder().setPoints(PointsIdsList.newBuilder().addIds(id(1))).build();

  private final Collection points;

  BatchesWalk(Collection points) {
    this.points = points;
  }

  void walk() throws Exception {
    points.createPlain(4);
    // Each operation alone leaves its trace; after all of them nothing is left.
    assertLeft(1, Map.of(), List.of(1f, 2f, 3f, 4f));
    assertLeft(2, Map.of(), List.of(4f, 3f, 2f, 1f));
    assertLeft(3, Map.of(), List.of());
    assertLeft(4, Map.of("test_payload", 1L), List.of());
    assertLeft(
        5, Map.of("test_payload", 1L, "test_payload_2", 2L, "test_payload_3", 3L), List.of());
    assertLeft(6, Map.of("test_payload", 1L, "test_payload_3", 3L), List.of());
    assertLeft(7, Map.of(), List.of());
    apply(8, true);
    Check.same(points.count(), 0L);
    apply(1, false);
    Check.same(points.read(id(1)).getId(), id(1));
    points.drop();
  }

  private void assertLeft(int taken, Map<String, Object> payload, List<Float> vector)
      throws Exception {
    apply(taken, true);
    RetrievedPoint point = points.read(id(1));
    Check.same(Collection.plain(point.getPayloadMap()), payload);
    Check.same(point.getVectors().getVector().getDense().getDataList(), vector);
  }

  /** Sends the first operations in one request; every one has a result. */
  private void apply(int taken, boolean wait) throws Exception {
    List<PointsUpdateOperation> operations = operations().subList(0, taken);
    List<UpdateResult> results =
        points.client().batchUpdateAsync(points.name(), operations, wait, null, null).get();
    Check.same(results.size(), taken);
    UpdateStatus expected = wait ? UpdateStatus.Completed : UpdateStatus.Acknowledged;
    for (UpdateResult result : results) {
      Check.same(result.getStatus(), expected);
    }
  }

  private static PointsUpdateOperation.Builder operation() {
    return PointsUpdateOperation.newBuilder();
  }

  private static List<PointsUpdateOperation> operations() {
    PointStruct point =
        PointStruct.newBuilder().setId(id(1)).setVectors(vectors(1f, 2f, 3f, 4f)).build();
    PointVectors changed =
        PointVectors.newBuilder().setId(id(1)).setVectors(vectors(4f, 3f, 2f, 1f)).build();
    return List.of(
        operation().setUpsert(PointStructList.newBuilder().addPoints(point)).build(),
        operation().setUpdateVectors(UpdateVectors.newBuilder().addPoints(changed)).build(),
        operation()
            .setDeleteVectors(
                DeleteVectors.newBuilder()
                    .setPointsSelector(FIRST)
                    .setVectors(VectorsSelector.newBuilder().addNames("")))
            .build(),
        operation()
            .setOverwritePayload(
                OverwritePayload.newBuilder()
                    .setPointsSelector(FIRST)
                    .putPayload("test_payload", value(1)))
            .build(),
        operation()
            .setSetPayload(
                SetPayload.newBuilder()
                    .setPointsSelector(FIRST)
                    .putPayload("test_payload_2", value(2))
                    .putPayload("test_payload_3", value(3)))
            .build(),
        operation()
            .setDeletePayload(
                DeletePayload.newBuilder().setPointsSelector(FIRST).addKeys("test_payload_2"))
            .build(),
        operation().setClearPayload(ClearPayload.newBuilder().setPoints(FIRST)).build(),
        operation().setDeletePoints(DeletePoints.newBuilder().setPoints(FIRST)).build());
  }
}
