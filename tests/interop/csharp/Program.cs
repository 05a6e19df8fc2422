// Writes a point and reads it back, with C# generated from proto/.
//
// Usage: dotnet roundtrip.dll HOST:PORT

using Grpc.Net.Client;
using Qdrant.Client.Grpc;

using var channel = GrpcChannel.ForAddress("http://" + args[0]);
var collections = new Collections.CollectionsClient(channel);
var points = new Points.PointsClient(channel);
var name = $"csharp-stubs-{Environment.ProcessId}";

await collections.CreateAsync(new CreateCollection
{
    CollectionName = name,
    VectorsConfig = new VectorsConfig { Params = new VectorParams { Size = 2, Distance = Distance.Dot } },
});
var vector = new Vector { Dense = new DenseVector { Data = { 1f, 2f } } };
var written = await points.UpsertAsync(new UpsertPoints
{
    CollectionName = name,
    Wait = true,
    Points =
    {
        new PointStruct
        {
            Id = new PointId { Num = 7 },
            Vectors = new Vectors { Vector = vector },
            Payload = { ["color"] = new Value { StringValue = "red" } },
        },
    },
});
Expect(written.Result.Status == UpdateStatus.Completed, "the upsert is completed");
var read = await points.GetAsync(new GetPoints
{
    CollectionName = name,
    Ids = { new PointId { Num = 7 } },
    WithPayload = new WithPayloadSelector { Enable = true },
    WithVectors = new WithVectorsSelector { Enable = true },
});
Expect(read.Result.Count == 1 && read.Result[0].Id.Num == 7, "the point is there");
Expect(read.Result[0].Payload["color"].StringValue == "red", "its payload is");
Expect(read.Result[0].Vectors.Vector.Dense.Data.SequenceEqual(new[] { 1f, 2f }), "its vector is");
await collections.DeleteAsync(new DeleteCollection { CollectionName = name });
return 0;

static void Expect(bool holds, string what)
{
    if (!holds)
    {
        throw new InvalidOperationException("not so: " + what);
    }
}
