package pointstore.interop;

import static io.qdrant.client.ConditionFactory.hasId;
import static io.qdrant.client.ConditionFactory.matchKeyword;
import static io.qdrant.client.PointIdFactory.id;
import static io.qdrant.client.QueryFactory.nearest;
import static io.qdrant.client.ValueFactory.value;
import static io.qdrant.client.VectorsFactory.vectors;

import io.qdrant.client.QdrantClient;
import io.qdrant.client.WithPayloadSelectorFactory;
import io.qdrant.client.WithVectorsSelectorFactory;
import io.qdrant.client.grpc.Collections.PayloadSchemaType;
import io.qdrant.client.grpc.Common.Filter;
import io.qdrant.client.grpc.Points.Direction;
import io.qdrant.client.grpc.Points.OrderBy;
import io.qdrant.client.grpc.Points.PointStruct;
import io.qdrant.client.grpc.Points.QueryPoints;
import io.qdrant.client.grpc.Points.ScrollPoints;
import io.qdrant.client.grpc.Points.SearchPoints;
import io.qdrant.client.grpc.Points.StartFrom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/** Retrieving, scrolling, ordering, counting, searching with a filter. */
final class ReadsWalk {
  private static final int COUNT = 12;
  private static final Filter RED =
      Filter.newBuilder().addMust(matchKeyword("color", "red")).build();

  private final Collection points;
  private final QdrantClient client;

  ReadsWalk(Collection points) {
    this.points = points;
    this.client = points.client();
  }

  void walk() throws Exception {
    points.createPlain(2);
    points.put(
        LongStream.range(0, COUNT).mapToObj(ReadsWalk::point).toArray(PointStruct[]::new));
    retrieve();
    scroll();
    order();
    count();
    search();
    points.drop();
  }

  private static PointStruct point(long number) {
    return PointStruct.newBuilder()
        .setId(id(number))
        .setVectors(vectors(1f, number))
        .putPayload("color", value(number % 3 == 0 ? "red" : "green"))
        .putPayload("timestamp", value(timeOf(number)))
        .build();
  }

  /** Two points share each time, later ones come first. */
  private static long timeOf(long number) {
    return 128 - number / 2;
  }

  private void retrieve() throws Exception {
    var ids = Collection.ids(3, 0, 100);
    var found = client.retrieveAsync(points.name(), ids, false, false, null).get();
    Check.same(Collection.numbers(found), List.of(3L, 0L));
    Check.that(found.get(0).getPayloadCount() == 0 && !found.get(0).hasVectors(), "only the id");
    var without = WithVectorsSelectorFactory.enable(false);
    var include = WithPayloadSelectorFactory.include(List.of("timestamp"));
    found = client.retrieveAsync(points.name(), ids, include, without, null).get();
    Check.same(Collection.plain(found.get(0).getPayloadMap()), Map.of("timestamp", 127L));
    var exclude = WithPayloadSelectorFactory.exclude(List.of("timestamp"));
    found = client.retrieveAsync(points.name(), ids, exclude, without, null).get();
    Check.same(Collection.plain(found.get(0).getPayloadMap()), Map.of("color", "red"));
  }

  private void scroll() throws Exception {
    ScrollPoints.Builder request =
        ScrollPoints.newBuilder()
            .setCollectionName(points.name())
            .setFilter(RED)
            .setLimit(1)
            .setWithPayload(WithPayloadSelectorFactory.enable(true));
    List<Long> seen = new ArrayList<>();
    boolean more = true;
    while (more) {
      var page = client.scrollAsync(request.build()).get();
      Check.same(page.getResultCount(), 1);
      Check.same(page.getResult(0).getPayloadOrThrow("color"), value("red"));
      Check.that(!page.getResult(0).hasVectors(), "without vectors");
      seen.add(page.getResult(0).getId().getNum());
      more = page.hasNextPageOffset();
      request.setOffset(page.getNextPageOffset());
    }
    Check.same(seen, List.of(0L, 3L, 6L, 9L));
  }

  /** Reads one ordered page; such a page names no next one. */
  private List<Long> ordered(OrderBy.Builder order, Filter filter, int limit) throws Exception {
    var page =
        client
            .scrollAsync(
                ScrollPoints.newBuilder()
                    .setCollectionName(points.name())
                    .setFilter(filter)
                    .setLimit(limit)
                    .setOrderBy(order.setKey("timestamp"))
                    .build())
            .get();
    Check.that(!page.hasNextPageOffset(), "a next page");
    return Collection.numbers(page.getResultList());
  }

  private static OrderBy.Builder downFrom(long time) {
    return OrderBy.newBuilder()
        .setDirection(Direction.Desc)
        .setStartFrom(StartFrom.newBuilder().setInteger(time));
  }

  private void order() throws Exception {
    var integer = PayloadSchemaType.Integer;
    Check.completed(
        client.createPayloadIndexAsync(
            points.name(), "timestamp", integer, null, true, null, null));
    Filter all = Filter.getDefaultInstance();
    Check.same(
        ordered(OrderBy.newBuilder(), all, 15),
        List.of(10L, 11L, 8L, 9L, 6L, 7L, 4L, 5L, 2L, 3L, 0L, 1L));
    List<Long> down = ordered(OrderBy.newBuilder().setDirection(Direction.Desc), all, 3);
    Check.same(down, List.of(1L, 0L, 3L));
    List<Long> started = ordered(downFrom(125), all, 3);
    Check.same(started.subList(0, 2).stream().sorted().toList(), List.of(6L, 7L));
    // The page after that: from its last value on, without the points that have been seen.
    Filter unseen =
        Filter.newBuilder()
            .addMustNot(hasId(started.stream().map(number -> id(number)).toList()))
            .build();
    List<Long> rest = new ArrayList<>(ordered(downFrom(timeOf(started.get(2))), unseen, 15));
    rest.addAll(started);
    Check.same(rest.stream().sorted().toList(), List.of(6L, 7L, 8L, 9L, 10L, 11L));
  }

  private void count() throws Exception {
    Check.same(client.countAsync(points.name(), RED, true).get(), 4L);
    Check.same(points.count(), (long) COUNT);
    long estimate = client.countAsync(points.name(), RED, false).get();
    Check.that(estimate >= 1 && estimate <= COUNT, "estimate " + estimate);
  }

  private void search() throws Exception {
    QueryPoints query =
        QueryPoints.newBuilder()
            .setCollectionName(points.name())
            .setQuery(nearest(1f, 1f))
            .setFilter(RED)
            .setLimit(3)
            .setWithPayload(WithPayloadSelectorFactory.enable(true))
            .build();
    var hits = client.queryAsync(query).get();
    Check.same(hits.stream().map(hit -> hit.getId().getNum()).toList(), List.of(9L, 6L, 3L));
    Check.same(hits.stream().map(hit -> hit.getScore()).toList(), List.of(10f, 7f, 4f));
    Check.same(
        Collection.plain(hits.get(0).getPayloadMap()), Map.of("color", "red", "timestamp", 124L));
    SearchPoints search =
        SearchPoints.newBuilder()
            .setCollectionName(points.name())
            .addAllVector(List.of(1f, 1f))
            .setFilter(RED)
            .setLimit(1)
            .build();
    Check.same(client.searchAsync(search).get().get(0).getId().getNum(), 9L);
  }
}
