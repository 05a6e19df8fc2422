// A round trip with stubs that protoc generated from proto/.
//
// Usage: stubs HOST:PORT. Ends with status 0, or with the first check that does not hold.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "collections_service.grpc.pb.h"
#include "points_service.grpc.pb.h"

namespace {

const char kName[] = "cpp-stubs";

void Check(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

// Calls a method of a stub with a deadline, and returns its reply.
template <typename Reply, typename Stub, typename Method, typename Request>
Reply Call(Stub& stub, Method method, const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  Reply reply;
  const grpc::Status status = (stub.*method)(&context, request, &reply);
  Check(status.ok(), status.error_message());
  return reply;
}

bool Drop(qdrant::Collections::Stub& collections) {
  qdrant::DeleteCollection request;
  request.set_collection_name(kName);
  return Call<qdrant::CollectionOperationResponse>(
             collections, &qdrant::Collections::Stub::Delete, request)
      .result();
}

void Create(qdrant::Collections::Stub& collections) {
  qdrant::CreateCollection request;
  request.set_collection_name(kName);
  auto* params = request.mutable_vectors_config()->mutable_params();
  params->set_size(4);
  params->set_distance(qdrant::Distance::Dot);
  const auto reply = Call<qdrant::CollectionOperationResponse>(
      collections, &qdrant::Collections::Stub::Create, request);
  Check(reply.result(), "not created");
}

void AddPoint(qdrant::UpsertPoints& request, uint64_t id, const std::vector<float>& values) {
  auto* point = request.add_points();
  point->mutable_id()->set_num(id);
  (*point->mutable_payload())["city"].set_string_value("Berlin");
  auto* data = point->mutable_vectors()->mutable_vector()->mutable_dense()->mutable_data();
  data->Assign(values.begin(), values.end());
}

void Upsert(qdrant::Points::Stub& points) {
  qdrant::UpsertPoints request;
  request.set_collection_name(kName);
  request.set_wait(true);
  AddPoint(request, 1, {1, 0, 0, 0});
  AddPoint(request, 2, {0, 2, 0, 0});
  const auto reply = Call<qdrant::PointsOperationResponse>(
      points, &qdrant::Points::Stub::Upsert, request);
  Check(reply.result().status() == qdrant::UpdateStatus::Completed, reply.DebugString());
}

void Query(qdrant::Points::Stub& points) {
  qdrant::QueryPoints request;
  request.set_collection_name(kName);
  request.set_limit(1);
  auto* data = request.mutable_query()->mutable_nearest()->mutable_dense()->mutable_data();
  for (const float value : {0.f, 1.f, 0.f, 0.f}) data->Add(value);
  const auto reply =
      Call<qdrant::QueryResponse>(points, &qdrant::Points::Stub::Query, request);
  Check(reply.result_size() == 1, reply.DebugString());
  Check(reply.result(0).id().num() == 2 && reply.result(0).score() == 2, reply.DebugString());
}

void Scroll(qdrant::Points::Stub& points) {
  qdrant::ScrollPoints request;
  request.set_collection_name(kName);
  const auto page =
      Call<qdrant::ScrollResponse>(points, &qdrant::Points::Stub::Scroll, request);
  Check(page.result_size() == 2 && !page.has_next_page_offset(), page.DebugString());
  Check(page.result(0).id().num() == 1 && page.result(1).id().num() == 2, page.DebugString());
  Check(page.result(0).payload().at("city").string_value() == "Berlin", page.DebugString());
}

void RoundTrip(const std::string& address) {
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  const auto collections = qdrant::Collections::NewStub(channel);
  const auto points = qdrant::Points::NewStub(channel);
  Drop(*collections);
  Create(*collections);
  Upsert(*points);
  Query(*points);
  Scroll(*points);
  Check(Drop(*collections), "not dropped");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: stubs HOST:PORT\n";
    return 2;
  }
  try {
    RoundTrip(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  std::cout << "made a round trip\n";
}
