package main

import (
	"math"
	"time"

	"github.com/qdrant/go-client/qdrant"
)

// ids: numbers from 0 to the largest, and UUIDs in each spelling, which all name the same point.
func (w walker) ids(collection string) {
	w.create(collection, 4)
	vectors := qdrant.NewVectors(0.05, 0.61, 0.76, 0.74)
	for _, number := range []uint64{0, 1, math.MaxInt64, math.MaxUint64} {
		w.upsert(collection, &qdrant.PointStruct{
			Id: qdrant.NewIDNum(number), Vectors: vectors,
			Payload: qdrant.NewValueMap(map[string]any{"color": "Red"}),
		})
		point := w.point(collection, qdrant.NewIDNum(number))
		equal("number", point.GetId().GetNum(), number)
		equal("payload", payloadOf(point.GetPayload()), `color="Red"`)
		equal("vector", denseOf(point), []float32{0.05, 0.61, 0.76, 0.74})
	}
	equal("points with numbers", w.total(collection), uint64(4))

	for written, want := range map[string]string{
		"936DA01F9ABD4d9d80C702AF85C822A8":              "936da01f-9abd-4d9d-80c7-02af85c822a8",
		"550e8400-e29b-41d4-a716-446655440000":          "550e8400-e29b-41d4-a716-446655440000",
		"urn:uuid:F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4": "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4",
		"5c56c793-69f3-4fbf-87e6-c4bf54c28c26":          "5c56c793-69f3-4fbf-87e6-c4bf54c28c26",
	} {
		w.upsert(collection, &qdrant.PointStruct{Id: qdrant.NewID(written), Vectors: vectors})
		for _, spelling := range []string{written, want} {
			equal("read by "+spelling, idText(w.point(collection, qdrant.NewID(spelling)).GetId()), want)
		}
	}
	equal("points with UUIDs too", w.total(collection), uint64(8))
	w.upsert(collection, &qdrant.PointStruct{Id: qdrant.NewID("936da01f-9abd-4d9d-80c7-02af85c822a8"), Vectors: vectors})
	equal("another spelling is the same point", w.total(collection), uint64(8))
}

// records: an upsert of several points, twice, and again with other content. The client has no form for columns.
func (w walker) records(collection string) {
	w.create(collection, 3)
	colors := []string{"red", "green", "blue"}
	for range 2 {
		var points []*qdrant.PointStruct
		for i, color := range colors {
			vector := []float32{0.1, 0.1, 0.1}
			vector[i] = 0.9
			points = append(points, &qdrant.PointStruct{
				Id:      qdrant.NewIDNum(uint64(i + 1)),
				Vectors: qdrant.NewVectors(vector...),
				Payload: qdrant.NewValueMap(map[string]any{"color": color}),
			})
		}
		w.upsert(collection, points...)
		equal("points", w.total(collection), uint64(3))
		for i, color := range colors {
			point := w.point(collection, qdrant.NewIDNum(uint64(i+1)))
			equal("color", point.GetPayload()["color"].GetStringValue(), color)
			equal("vector", denseOf(point)[i], float32(0.9))
		}
	}
	w.upsert(collection, &qdrant.PointStruct{Id: qdrant.NewIDNum(1), Vectors: qdrant.NewVectors(1, 2, 3)})
	point := w.point(collection, qdrant.NewIDNum(1))
	equal("the point is replaced whole", payloadOf(point.GetPayload()), "")
	equal("with the new vector", denseOf(point), []float32{1, 2, 3})
	equal("no point more", w.total(collection), uint64(3))
}

// payload: every kind of value, then set, overwrite, delete and clear.
func (w walker) payload(collection string) {
	w.create(collection, 2)
	one := qdrant.NewPointsSelector(qdrant.NewIDNum(1))
	wait := qdrant.PtrOf(true)
	read := func() string { return payloadOf(w.point(collection, qdrant.NewIDNum(1)).GetPayload()) }
	w.upsert(collection, &qdrant.PointStruct{
		Id: qdrant.NewIDNum(1), Vectors: qdrant.NewVectors(1, 0),
		Payload: qdrant.NewValueMap(map[string]any{
			"text": "äöü", "whole": int64(math.MinInt64), "real": 0.5, "yes": true, "nothing": nil,
			"list": []any{1, "two", []any{}}, "nested": map[string]any{"deep": map[string]any{"n": 1}},
		}),
	})
	equal("values of each kind", read(), `list=[1 "two" []] nested={deep={n=1}} nothing=null real=0.5 text="äöü" `+
		`whole=-9223372036854775808 yes=true`)

	completed("overwrite payload")(w.client.OverwritePayload(w.ctx, &qdrant.SetPayloadPoints{
		CollectionName: collection, Wait: wait, PointsSelector: one,
		Payload: qdrant.NewValueMap(map[string]any{"a": 1, "b": "x"}),
	}))
	equal("overwritten", read(), `a=1 b="x"`)
	completed("set payload")(w.client.SetPayload(w.ctx, &qdrant.SetPayloadPoints{
		CollectionName: collection, Wait: wait, PointsSelector: one,
		Payload: qdrant.NewValueMap(map[string]any{"b": "y", "c": map[string]any{"d": 1}}),
	}))
	equal("set", read(), `a=1 b="y" c={d=1}`)
	completed("set payload below a key")(w.client.SetPayload(w.ctx, &qdrant.SetPayloadPoints{
		CollectionName: collection, Wait: wait, PointsSelector: one, Key: qdrant.PtrOf("c"),
		Payload: qdrant.NewValueMap(map[string]any{"e": 2}),
	}))
	equal("set below a key", read(), `a=1 b="y" c={d=1 e=2}`)
	completed("delete payload")(w.client.DeletePayload(w.ctx, &qdrant.DeletePayloadPoints{
		CollectionName: collection, Wait: wait, Keys: []string{"a", "c.d"},
		PointsSelector: qdrant.NewPointsSelectorFilter(where(qdrant.NewMatch("b", "y"))),
	}))
	equal("keys deleted by filter", read(), `b="y" c={e=2}`)
	completed("clear payload")(w.client.ClearPayload(w.ctx, &qdrant.ClearPayloadPoints{
		CollectionName: collection, Wait: wait, Points: one,
	}))
	equal("cleared", read(), "")
}

// deletedPoints: by ids, missing ones among them, and by filter.
func (w walker) deletedPoints(collection string) {
	w.colors(collection)
	completed("delete by ids")(w.client.Delete(w.ctx, &qdrant.DeletePoints{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		Points: qdrant.NewPointsSelector(qdrant.NewIDNum(0), qdrant.NewIDNum(3), qdrant.NewIDNum(100)),
	}))
	equal("point 3 is gone", w.point(collection, qdrant.NewIDNum(3)), (*qdrant.RetrievedPoint)(nil))
	equal("no other is", w.total(collection), uint64(5))
	completed("delete by filter")(w.client.Delete(w.ctx, &qdrant.DeletePoints{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		Points: qdrant.NewPointsSelectorFilter(where(qdrant.NewMatch("color", "red"))),
	}))
	points, err := w.client.Scroll(w.ctx, &qdrant.ScrollPoints{CollectionName: collection})
	must("scroll", err)
	equal("what is left", idsOf(points), "2 5 6")
}

// batch: all eight operations in order, whole and in parts that show the effect of each.
func (w walker) batch(collection string) {
	w.create(collection, 4)
	id := qdrant.NewIDNum(1)
	one := qdrant.NewPointsSelector(id)
	operations := []*qdrant.PointsUpdateOperation{
		qdrant.NewPointsUpdateUpsert(&qdrant.PointsUpdateOperation_PointStructList{Points: []*qdrant.PointStruct{
			{Id: id, Vectors: qdrant.NewVectors(1, 2, 3, 4), Payload: qdrant.NewValueMap(map[string]any{})},
		}}),
		qdrant.NewPointsUpdateUpdateVectors(&qdrant.PointsUpdateOperation_UpdateVectors{Points: []*qdrant.PointVectors{
			{Id: id, Vectors: qdrant.NewVectors(4, 3, 2, 1)},
		}}),
		qdrant.NewPointsUpdateDeleteVectors(&qdrant.PointsUpdateOperation_DeleteVectors{
			PointsSelector: one, Vectors: &qdrant.VectorsSelector{Names: []string{""}},
		}),
		qdrant.NewPointsUpdateOverwritePayload(&qdrant.PointsUpdateOperation_OverwritePayload{
			PointsSelector: one, Payload: qdrant.NewValueMap(map[string]any{"test_payload": 1}),
		}),
		qdrant.NewPointsUpdateSetPayload(&qdrant.PointsUpdateOperation_SetPayload{
			PointsSelector: one, Payload: qdrant.NewValueMap(map[string]any{"test_payload_2": 2, "test_payload_3": 3}),
		}),
		qdrant.NewPointsUpdateDeletePayload(&qdrant.PointsUpdateOperation_DeletePayload{
			PointsSelector: one, Keys: []string{"test_payload_2"},
		}),
		qdrant.NewPointsUpdateClearPayload(&qdrant.PointsUpdateOperation_ClearPayload{Points: one}),
		qdrant.NewPointsUpdateDeletePoints(&qdrant.PointsUpdateOperation_DeletePoints{Points: one}),
	}
	effects := []struct {
		vector  []float32
		payload string
	}{
		{[]float32{1, 2, 3, 4}, ""},
		{[]float32{4, 3, 2, 1}, ""},
		{nil, ""},
		{nil, "test_payload=1"},
		{nil, "test_payload=1 test_payload_2=2 test_payload_3=3"},
		{nil, "test_payload=1 test_payload_3=3"},
		{nil, ""},
	}
	update := func(some []*qdrant.PointsUpdateOperation) {
		results, err := w.client.UpdateBatch(w.ctx, &qdrant.UpdateBatchPoints{
			CollectionName: collection, Operations: some, Wait: qdrant.PtrOf(true),
		})
		must("batch", err)
		equal("results", len(results), len(some))
		for _, result := range results {
			equal("status", result.GetStatus(), qdrant.UpdateStatus_Completed)
		}
	}
	for count, effect := range effects {
		update(operations[:count+1])
		point := w.point(collection, id)
		equal("payload in the batch", payloadOf(point.GetPayload()), effect.payload)
		equal("vector in the batch", denseOf(point), effect.vector)
	}
	update(operations)
	equal("points after the batch", w.total(collection), uint64(0))
}

// wait: with it the point is there when the reply is; without, soon after.
func (w walker) wait(collection string) {
	w.create(collection, 2)
	write := func(number uint64, wait *bool) *qdrant.UpdateResult {
		result, err := w.client.Upsert(w.ctx, &qdrant.UpsertPoints{
			CollectionName: collection, Wait: wait,
			Points: []*qdrant.PointStruct{{Id: qdrant.NewIDNum(number), Vectors: qdrant.NewVectors(1, 0)}},
		})
		must("upsert", err)
		return result
	}
	first := write(1, qdrant.PtrOf(true))
	equal("with wait", first.GetStatus(), qdrant.UpdateStatus_Completed)
	equal("it is there", w.total(collection), uint64(1))
	second, third := write(2, qdrant.PtrOf(false)), write(3, nil)
	equal("without wait", second.GetStatus(), qdrant.UpdateStatus_Acknowledged)
	equal("by default", third.GetStatus(), qdrant.UpdateStatus_Acknowledged)
	equal("ids of operations grow", first.GetOperationId() < second.GetOperationId() &&
		second.GetOperationId() < third.GetOperationId(), true)
	for w.total(collection) < 3 {
		must("the deadline", w.ctx.Err())
		time.Sleep(10 * time.Millisecond)
	}
}
