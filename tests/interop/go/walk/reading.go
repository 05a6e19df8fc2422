package main

import (
	"fmt"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func textOf(value any) string { return fmt.Sprint(value) }

// retrieve: by ids, with selectors of payload and vectors.
func (w walker) retrieve(collection string) {
	w.createNamed(collection)
	w.upsert(collection, &qdrant.PointStruct{
		Id: qdrant.NewIDNum(3), Payload: qdrant.NewValueMap(map[string]any{"a": 1, "b": map[string]any{"c": 2, "d": 3}}),
		Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{
			"image": qdrant.NewVectorDense(image), "text": qdrant.NewVectorDense(text),
		}),
	})
	get := func(payload *qdrant.WithPayloadSelector, vectors *qdrant.WithVectorsSelector) *qdrant.RetrievedPoint {
		points, err := w.client.Get(w.ctx, &qdrant.GetPoints{
			CollectionName: collection,
			Ids:            []*qdrant.PointId{qdrant.NewIDNum(0), qdrant.NewIDNum(3), qdrant.NewIDNum(100)},
			WithPayload:    payload, WithVectors: vectors,
		})
		must("get", err)
		equal("missing points are left out", idsOf(points), "3")
		return points[0]
	}
	point := get(nil, nil)
	equal("no payload by default", payloadOf(point.GetPayload()), "")
	equal("no vectors by default", point.GetVectors() == nil, true)
	equal("with payload", payloadOf(get(qdrant.NewWithPayload(true), nil).GetPayload()), "a=1 b={c=2 d=3}")
	equal("without payload", payloadOf(get(qdrant.NewWithPayload(false), nil).GetPayload()), "")
	equal("included", payloadOf(get(qdrant.NewWithPayloadInclude("b.c"), nil).GetPayload()), "b={c=2}")
	equal("excluded", payloadOf(get(qdrant.NewWithPayloadExclude("b.c"), nil).GetPayload()), "a=1 b={d=3}")
	equal("all vectors", namesOf(get(nil, qdrant.NewWithVectors(true))), []string{"image", "text"})
	equal("one vector", namesOf(get(nil, qdrant.NewWithVectorsInclude("text"))), []string{"text"})
}

// scroll: by filter, page by page, in the order of ids.
func (w walker) scroll(collection string) {
	w.colors(collection)
	request := &qdrant.ScrollPoints{
		CollectionName: collection, Filter: where(qdrant.NewMatch("color", "red")),
		Limit: qdrant.PtrOf(uint32(1)), WithPayload: qdrant.NewWithPayload(true),
	}
	points, next, err := w.client.ScrollAndOffset(w.ctx, request)
	must("scroll", err)
	equal("the first red one", idsOf(points), "1")
	equal("its payload", payloadOf(points[0].GetPayload()), `color="red" n=10`)
	equal("without vectors", points[0].GetVectors() == nil, true)
	request.Offset = next
	points, next, err = w.client.ScrollAndOffset(w.ctx, request)
	must("scroll", err)
	equal("the second red one", idsOf(points), "4")
	equal("no more pages", next, (*qdrant.PointId)(nil))

	var pages []string
	request = &qdrant.ScrollPoints{CollectionName: collection, Limit: qdrant.PtrOf(uint32(4))}
	for {
		points, next, err = w.client.ScrollAndOffset(w.ctx, request)
		must("scroll", err)
		pages = append(pages, idsOf(points))
		if next == nil {
			break
		}
		request.Offset = next
	}
	equal("pages", pages, []string{"1 2 3 4", "5 6"})
}

// orderBy: both directions, from a value on, and pages made with it.
func (w walker) orderBy(collection string) {
	w.colors(collection)
	_, err := w.client.CreateFieldIndex(w.ctx, &qdrant.CreateFieldIndexCollection{
		CollectionName: collection, FieldName: "n", FieldType: qdrant.FieldType_FieldTypeInteger.Enum(),
		Wait: qdrant.PtrOf(true),
	})
	must("create index", err)
	ordered := func(order *qdrant.OrderBy, filter *qdrant.Filter) string {
		points, next, err := w.client.ScrollAndOffset(w.ctx, &qdrant.ScrollPoints{
			CollectionName: collection, Limit: qdrant.PtrOf(uint32(3)), OrderBy: order, Filter: filter,
		})
		must("scroll", err)
		equal("no offset of the next page", next, (*qdrant.PointId)(nil))
		for _, point := range points {
			equal("order value", point.GetOrderValue().GetInt(), point.GetPayload()["n"].GetIntegerValue())
		}
		return idsOf(points)
	}
	equal("ascending", ordered(&qdrant.OrderBy{Key: "n"}, nil), "1 2 3")
	equal("descending", ordered(&qdrant.OrderBy{Key: "n", Direction: qdrant.Direction_Desc.Enum()}, nil), "6 5 4")
	from := qdrant.NewStartFromInt(40)
	equal("from 40 on", ordered(&qdrant.OrderBy{Key: "n", StartFrom: from}, nil), "4 5 6")
	down := &qdrant.OrderBy{Key: "n", Direction: qdrant.Direction_Desc.Enum(), StartFrom: from}
	equal("from 40 down", ordered(down, nil), "4 3 2")
	seen := &qdrant.Filter{MustNot: []*qdrant.Condition{qdrant.NewHasID(qdrant.NewIDNum(4))}}
	equal("the next page", ordered(down, seen), "3 2 1")
}

// count: exact and not, with and without filter.
func (w walker) count(collection string) {
	w.colors(collection)
	for _, exact := range []*bool{nil, qdrant.PtrOf(true), qdrant.PtrOf(false)} {
		all, err := w.client.Count(w.ctx, &qdrant.CountPoints{CollectionName: collection, Exact: exact})
		must("count", err)
		equal("all", all, uint64(6))
		red, err := w.client.Count(w.ctx, &qdrant.CountPoints{
			CollectionName: collection, Exact: exact, Filter: where(qdrant.NewMatch("color", "red")),
		})
		must("count", err)
		if exact == nil || *exact {
			equal("red ones", red, uint64(2))
		} else {
			equal("an estimate of the red ones is possible", red <= 6, true)
		}
	}
}

// search: the nearest points, all or under a filter.
func (w walker) search(collection string) {
	w.colors(collection)
	query := func(filter *qdrant.Filter) []*qdrant.ScoredPoint {
		points, err := w.client.Query(w.ctx, &qdrant.QueryPoints{
			CollectionName: collection, Query: qdrant.NewQuery(0.2, 0.1, 0.9), Filter: filter,
			Limit: qdrant.PtrOf(uint64(2)), WithPayload: qdrant.NewWithPayload(true),
		})
		must("query", err)
		return points
	}
	for _, point := range query(nil) {
		equal("the nearest are blue", point.GetPayload()["color"].GetStringValue(), "blue")
		equal("score", fmt.Sprintf("%.4f", point.GetScore()), "0.8400")
	}
	equal("two of them", len(query(nil)), 2)
	late := where(qdrant.NewMatch("color", "red"), qdrant.NewRange("n", &qdrant.Range{Gt: qdrant.PtrOf(10.0)}))
	points := query(late)
	equal("the nearest red one after 10", idsOf(points), "4")
	equal("its score", fmt.Sprintf("%.4f", points[0].GetScore()), "0.2800")
}

// errors: a status and a line that tells what was wrong.
func (w walker) errors(collection string) {
	_, err := w.client.Count(w.ctx, &qdrant.CountPoints{CollectionName: collection})
	equal("status", status.Code(err), codes.NotFound)
	w.create(collection, 3)
	_, err = w.client.Upsert(w.ctx, &qdrant.UpsertPoints{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		Points: []*qdrant.PointStruct{{Id: qdrant.NewIDNum(1), Vectors: qdrant.NewVectors(1, 2)}},
	})
	equal("status", status.Code(err), codes.InvalidArgument)
	equal("text", status.Convert(err).Message() != "", true)
}
