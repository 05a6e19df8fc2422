package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/qdrant/go-client/qdrant"
)

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func must(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		fail("%s: got %#v, want %#v", what, got, want)
	}
}

// completed asserts what a write with `wait` answers.
func completed(what string) func(*qdrant.UpdateResult, error) {
	return func(result *qdrant.UpdateResult, err error) {
		must(what, err)
		equal(what+": status", result.GetStatus(), qdrant.UpdateStatus_Completed)
	}
}

func idText(id *qdrant.PointId) string {
	if uuid := id.GetUuid(); uuid != "" {
		return uuid
	}
	return fmt.Sprint(id.GetNum())
}

type identified interface{ GetId() *qdrant.PointId }

// idsOf returns the ids of points in their order, separated by spaces.
func idsOf[P identified](points []P) string {
	var ids []string
	for _, point := range points {
		ids = append(ids, idText(point.GetId()))
	}
	return strings.Join(ids, " ")
}

// payloadOf returns a payload as text with sorted keys: `a=1 b="x"`.
func payloadOf(payload map[string]*qdrant.Value) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(payload)) {
		parts = append(parts, key+"="+valueText(payload[key]))
	}
	return strings.Join(parts, " ")
}

func valueText(value *qdrant.Value) string {
	switch kind := value.GetKind().(type) {
	case *qdrant.Value_StringValue:
		return fmt.Sprintf("%q", kind.StringValue)
	case *qdrant.Value_IntegerValue:
		return fmt.Sprint(kind.IntegerValue)
	case *qdrant.Value_DoubleValue:
		return fmt.Sprintf("%v", kind.DoubleValue)
	case *qdrant.Value_BoolValue:
		return fmt.Sprint(kind.BoolValue)
	case *qdrant.Value_StructValue:
		return "{" + payloadOf(kind.StructValue.GetFields()) + "}"
	case *qdrant.Value_ListValue:
		var parts []string
		for _, item := range kind.ListValue.GetValues() {
			parts = append(parts, valueText(item))
		}
		return "[" + strings.Join(parts, " ") + "]"
	default:
		return "null"
	}
}

// denseOf returns the unnamed dense vector of a point.
func denseOf(point *qdrant.RetrievedPoint) []float32 {
	return point.GetVectors().GetVector().GetDenseVector().GetData()
}

// namesOf returns the names of a point's vectors, sorted.
func namesOf(point *qdrant.RetrievedPoint) []string {
	return slices.Sorted(maps.Keys(point.GetVectors().GetVectors().GetVectors()))
}

// namedOf returns one named vector of a point.
func namedOf(point *qdrant.RetrievedPoint, name string) *qdrant.VectorOutput {
	return point.GetVectors().GetVectors().GetVectors()[name]
}
