package main

import (
	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	image = []float32{0.9, 0.1, 0.1, 0.2}
	text  = []float32{0.4, 0.7, 0.1, 0.8, 0.1, 0.1, 0.9, 0.2}
)

func (w walker) upsertNamed(collection string, number uint64, vectors map[string]*qdrant.Vector) {
	w.upsert(collection, &qdrant.PointStruct{Id: qdrant.NewIDNum(number), Vectors: qdrant.NewVectorsMap(vectors)})
}

// namedVectors: both, one of them, none; an upsert replaces them all.
func (w walker) namedVectors(collection string) {
	w.createNamed(collection)
	both := map[string]*qdrant.Vector{"image": qdrant.NewVectorDense(image), "text": qdrant.NewVectorDense(text)}
	w.upsertNamed(collection, 1, both)
	w.upsertNamed(collection, 2, map[string]*qdrant.Vector{"image": qdrant.NewVector(0.2, 0.1, 0.3, 0.9)})
	w.upsertNamed(collection, 3, nil)
	point := w.point(collection, qdrant.NewIDNum(1))
	equal("names", namesOf(point), []string{"image", "text"})
	equal("image", namedOf(point, "image").GetDenseVector().GetData(), image)
	equal("text", namedOf(point, "text").GetDenseVector().GetData(), text)
	equal("one left out", namesOf(w.point(collection, qdrant.NewIDNum(2))), []string{"image"})
	equal("all left out", len(namesOf(w.point(collection, qdrant.NewIDNum(3)))), 0)
	w.upsertNamed(collection, 1, map[string]*qdrant.Vector{"text": qdrant.NewVectorDense(text)})
	equal("an upsert replaces all", namesOf(w.point(collection, qdrant.NewIDNum(1))), []string{"text"})
}

// sparseVectors: the indices come back sorted, the values with them.
func (w walker) sparseVectors(collection string) {
	w.createNamed(collection)
	w.upsertNamed(collection, 1, map[string]*qdrant.Vector{"words": qdrant.NewVectorSparse([]uint32{6, 7}, []float32{1, 2})})
	w.upsertNamed(collection, 2, map[string]*qdrant.Vector{
		"words": qdrant.NewVectorSparse([]uint32{4294967295, 5, 0}, []float32{0.1, 0.2, -0.3}),
	})
	sorted := namedOf(w.point(collection, qdrant.NewIDNum(1)), "words").GetSparseVector()
	equal("indices", sorted.GetIndices(), []uint32{6, 7})
	equal("values", sorted.GetValues(), []float32{1, 2})
	unsorted := namedOf(w.point(collection, qdrant.NewIDNum(2)), "words").GetSparseVector()
	equal("indices, sorted", unsorted.GetIndices(), []uint32{0, 5, 4294967295})
	equal("values in their order", unsorted.GetValues(), []float32{-0.3, 0.2, 0.1})
	_, err := w.client.Upsert(w.ctx, &qdrant.UpsertPoints{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		Points: []*qdrant.PointStruct{{
			Id: qdrant.NewIDNum(3),
			Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{
				"words": qdrant.NewVectorSparse([]uint32{1, 1, 2}, []float32{0.1, 0.2, 0.3}),
			}),
		}},
	})
	equal("an index twice is refused", err != nil, true)
}

// multiVectors: any number of rows.
func (w walker) multiVectors(collection string) {
	w.createNamed(collection)
	rows := [][]float32{{1, 2}, {3, 4}, {5, 6}}
	for count := 1; count <= len(rows); count++ {
		w.upsertNamed(collection, uint64(count), map[string]*qdrant.Vector{"tokens": qdrant.NewVectorMulti(rows[:count])})
		var got [][]float32
		read := namedOf(w.point(collection, qdrant.NewIDNum(uint64(count))), "tokens").GetMultiVector()
		for _, row := range read.GetVectors() {
			got = append(got, row.GetData())
		}
		equal("rows", got, rows[:count])
	}
}

// changedVectors: updates and deletions of some vectors keep the others, the payload and the point.
func (w walker) changedVectors(collection string) {
	w.createNamed(collection)
	for number := range uint64(4) {
		w.upsert(collection, &qdrant.PointStruct{
			Id: qdrant.NewIDNum(number), Payload: qdrant.NewValueMap(map[string]any{"n": int(number)}),
			Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{
				"image": qdrant.NewVectorDense(image), "text": qdrant.NewVectorDense(text),
				"words": qdrant.NewVectorSparse([]uint32{1}, []float32{1}),
			}),
		})
	}
	completed("update vectors")(w.client.UpdateVectors(w.ctx, &qdrant.UpdatePointVectors{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		Points: []*qdrant.PointVectors{
			{
				Id:      qdrant.NewIDNum(1),
				Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{"image": qdrant.NewVector(0.1, 0.2, 0.3, 0.4)}),
			},
			{
				Id: qdrant.NewIDNum(2),
				Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{
					"text": qdrant.NewVector(0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2),
				}),
			},
		},
	}))
	first, second := w.point(collection, qdrant.NewIDNum(1)), w.point(collection, qdrant.NewIDNum(2))
	equal("updated", namedOf(first, "image").GetDenseVector().GetData(), []float32{0.1, 0.2, 0.3, 0.4})
	equal("kept", namedOf(first, "text").GetDenseVector().GetData(), text)
	equal("kept too", namedOf(second, "image").GetDenseVector().GetData(), image)
	equal("updated too", namedOf(second, "text").GetDenseVector().GetData()[0], float32(0.9))
	equal("payload kept", payloadOf(first.GetPayload()), "n=1")

	completed("delete vectors")(w.client.DeleteVectors(w.ctx, &qdrant.DeletePointVectors{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		PointsSelector: qdrant.NewPointsSelector(qdrant.NewIDNum(0), qdrant.NewIDNum(3)),
		Vectors:        &qdrant.VectorsSelector{Names: []string{"text", "image"}},
	}))
	for number, want := range []string{"[words]", "[image text words]", "[image text words]", "[words]"} {
		point := w.point(collection, qdrant.NewIDNum(uint64(number)))
		equal("names after deletion", textOf(namesOf(point)), want)
		equal("payload after deletion", point.GetPayload()["n"].GetIntegerValue(), int64(number))
	}
	_, err := w.client.DeleteVectors(w.ctx, &qdrant.DeletePointVectors{
		CollectionName: collection, Wait: qdrant.PtrOf(true),
		PointsSelector: qdrant.NewPointsSelector(qdrant.NewIDNum(100)),
		Vectors:        &qdrant.VectorsSelector{Names: []string{"text"}},
	})
	equal("a point that is not there", status.Code(err), codes.NotFound)
}
