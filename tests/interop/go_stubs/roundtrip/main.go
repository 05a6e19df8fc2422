// Roundtrip writes a point and reads it back, with stubs generated from proto/.
//
// Usage: roundtrip HOST:PORT.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	pb "pointstore/interop/stubs/qdrant"
)

func main() {
	log.SetFlags(0)
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	name := fmt.Sprintf("go-stubs-%d", os.Getpid())
	collections := pb.NewCollectionsClient(connection)
	_, err = collections.Create(ctx, &pb.CreateCollection{
		CollectionName: name,
		VectorsConfig: &pb.VectorsConfig{Config: &pb.VectorsConfig_Params{
			Params: &pb.VectorParams{Size: 2, Distance: pb.Distance_Dot},
		}},
	})
	must(err)

	points := pb.NewPointsClient(connection)
	id := &pb.PointId{PointIdOptions: &pb.PointId_Num{Num: 7}}
	payload := map[string]*pb.Value{"color": {Kind: &pb.Value_StringValue{StringValue: "red"}}}
	written, err := points.Upsert(ctx, &pb.UpsertPoints{
		CollectionName: name,
		Wait:           proto.Bool(true),
		Points: []*pb.PointStruct{{
			Id:      id,
			Payload: payload,
			Vectors: &pb.Vectors{VectorsOptions: &pb.Vectors_Vector{
				Vector: &pb.Vector{Vector: &pb.Vector_Dense{Dense: &pb.DenseVector{Data: []float32{1, 2}}}},
			}},
		}},
	})
	must(err)
	if status := written.GetResult().GetStatus(); status != pb.UpdateStatus_Completed {
		log.Fatalf("upsert: status %v", status)
	}

	read, err := points.Get(ctx, &pb.GetPoints{
		CollectionName: name,
		Ids:            []*pb.PointId{id},
		WithPayload:    &pb.WithPayloadSelector{SelectorOptions: &pb.WithPayloadSelector_Enable{Enable: true}},
		WithVectors:    &pb.WithVectorsSelector{SelectorOptions: &pb.WithVectorsSelector_Enable{Enable: true}},
	})
	must(err)
	want := &pb.RetrievedPoint{
		Id:      id,
		Payload: payload,
		Vectors: &pb.VectorsOutput{VectorsOptions: &pb.VectorsOutput_Vector{Vector: read.GetResult()[0].GetVectors().GetVector()}},
	}
	if !proto.Equal(read.GetResult()[0], want) {
		log.Fatalf("got %v, want %v", read.GetResult()[0], want)
	}
	if data := fmt.Sprint(want.GetVectors().GetVector().GetDense().GetData()); data != "[1 2]" {
		log.Fatalf("vector %s", data)
	}
	_, err = collections.Delete(ctx, &pb.DeleteCollection{CollectionName: name})
	must(err)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
