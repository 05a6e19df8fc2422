// Walk goes through the Points page of the documentation with the official client, and asserts every result.
//
// Usage: walk HOST:PORT. It ends with status 0 when all answers were as expected.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/qdrant/go-client/qdrant"
)

const deadline = 5 * time.Minute

type walker struct {
	client *qdrant.Client
	ctx    context.Context
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: walk HOST:PORT")
	}
	host, portText, err := net.SplitHostPort(os.Args[1])
	must("the address", err)
	port, err := strconv.Atoi(portText)
	must("the port", err)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	client, err := qdrant.NewClient(&qdrant.Config{Host: host, Port: port})
	must("connect", err)
	defer client.Close()

	w := walker{client, ctx}
	steps := []struct {
		name string
		take func(collection string)
	}{
		{"ids", w.ids},
		{"records", w.records},
		{"named vectors", w.namedVectors},
		{"sparse vectors", w.sparseVectors},
		{"multi-vectors", w.multiVectors},
		{"update and delete vectors", w.changedVectors},
		{"payload", w.payload},
		{"delete points", w.deletedPoints},
		{"retrieve", w.retrieve},
		{"scroll", w.scroll},
		{"order by", w.orderBy},
		{"count", w.count},
		{"batch update", w.batch},
		{"wait", w.wait},
		{"search", w.search},
		{"errors", w.errors},
	}
	for i, step := range steps {
		collection := fmt.Sprintf("go-walk-%d-%d", os.Getpid(), i)
		step.take(collection)
		exists, err := client.CollectionExists(ctx, collection)
		must("exists", err)
		if exists {
			must("drop", client.DeleteCollection(ctx, collection))
		}
		fmt.Println("ok", step.name)
	}
}

// create makes a collection with one unnamed vector of `size` dimensions.
func (w walker) create(collection string, size uint64) {
	must("create "+collection, w.client.CreateCollection(w.ctx, &qdrant.CreateCollection{
		CollectionName: collection,
		VectorsConfig:  qdrant.NewVectorsConfig(&qdrant.VectorParams{Size: size, Distance: qdrant.Distance_Dot}),
	}))
}

// createNamed makes a collection with the dense vectors `image` (4) and `text` (8), the multi-vector `tokens` (2)
// and the sparse vector `words`.
func (w walker) createNamed(collection string) {
	must("create "+collection, w.client.CreateCollection(w.ctx, &qdrant.CreateCollection{
		CollectionName: collection,
		VectorsConfig: qdrant.NewVectorsConfigMap(map[string]*qdrant.VectorParams{
			"image": {Size: 4, Distance: qdrant.Distance_Dot},
			"text":  {Size: 8, Distance: qdrant.Distance_Euclid},
			"tokens": {
				Size: 2, Distance: qdrant.Distance_Dot,
				MultivectorConfig: &qdrant.MultiVectorConfig{Comparator: qdrant.MultiVectorComparator_MaxSim},
			},
		}),
		SparseVectorsConfig: qdrant.NewSparseVectorsConfig(map[string]*qdrant.SparseVectorParams{"words": {}}),
	}))
}

// colors writes points 1 to 6, red, green and blue in turn, with `n` from 10 to 60.
func (w walker) colors(collection string) {
	w.create(collection, 3)
	var points []*qdrant.PointStruct
	for i := range 6 {
		vector := []float32{0.1, 0.1, 0.1}
		vector[i%3] = 0.9
		points = append(points, &qdrant.PointStruct{
			Id:      qdrant.NewIDNum(uint64(i + 1)),
			Vectors: qdrant.NewVectorsDense(vector),
			Payload: qdrant.NewValueMap(map[string]any{"color": []string{"red", "green", "blue"}[i%3], "n": 10 * (i + 1)}),
		})
	}
	w.upsert(collection, points...)
}

func (w walker) upsert(collection string, points ...*qdrant.PointStruct) {
	completed("upsert")(w.client.Upsert(w.ctx, &qdrant.UpsertPoints{
		CollectionName: collection, Points: points, Wait: qdrant.PtrOf(true),
	}))
}

// point reads one point with everything; nil if there is none.
func (w walker) point(collection string, id *qdrant.PointId) *qdrant.RetrievedPoint {
	points, err := w.client.Get(w.ctx, &qdrant.GetPoints{
		CollectionName: collection,
		Ids:            []*qdrant.PointId{id},
		WithPayload:    qdrant.NewWithPayload(true),
		WithVectors:    qdrant.NewWithVectors(true),
	})
	must("get", err)
	if len(points) == 0 {
		return nil
	}
	return points[0]
}

// total counts the points of a collection.
func (w walker) total(collection string) uint64 {
	count, err := w.client.Count(w.ctx, &qdrant.CountPoints{CollectionName: collection, Exact: qdrant.PtrOf(true)})
	must("count", err)
	return count
}

func where(conditions ...*qdrant.Condition) *qdrant.Filter {
	return &qdrant.Filter{Must: conditions}
}
