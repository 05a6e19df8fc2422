package pointstore.interop;

import com.google.common.util.concurrent.ListenableFuture;
import io.grpc.Status;
import io.qdrant.client.grpc.Points.UpdateResult;
import io.qdrant.client.grpc.Points.UpdateStatus;
import java.util.Objects;
import java.util.concurrent.ExecutionException;

/** Checks that end the program; assertions of the language would have to be switched on. */
final class Check {
  private Check() {}

  static void that(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  static void same(Object found, Object expected) {
    that(Objects.equals(found, expected), found + " instead of " + expected);
  }

  /** Wants the write to be applied. */
  static void completed(ListenableFuture<UpdateResult> reply) throws Exception {
    same(reply.get().getStatus(), UpdateStatus.Completed);
  }

  /** Wants the call to be refused with this code; returns the text. */
  static String refused(ListenableFuture<?> reply, Status.Code code) throws InterruptedException {
    try {
      throw new AssertionError("not refused: " + reply.get());
    } catch (ExecutionException error) {
      Status status = Status.fromThrowable(error);
      same(status.getCode(), code);
      return status.getDescription();
    }
  }
}
