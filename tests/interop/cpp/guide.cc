#include <grpcpp/grpcpp.h>

#include <iostream>

#include "collections_service.grpc.pb.h"
#include "points_service.grpc.pb.h"

// Prints what went wrong, if anything did.
bool Succeeded(const grpc::Status& status) {
  if (!status.ok()) std::cerr << status.error_code() << ": " << status.error_message() << "\n";
  return status.ok();
}

void AddPoint(qdrant::UpsertPoints& request, uint64_t id, std::initializer_list<float> values,
              const char* city) {
  auto* point = request.add_points();
  point->mutable_id()->set_num(id);
  auto* data = point->mutable_vectors()->mutable_vector()->mutable_dense()->mutable_data();
  data->Assign(values.begin(), values.end());
  (*point->mutable_payload())["city"].set_string_value(city);
}

int main(int, char** argv) {
  grpc::ChannelArguments options;
  options.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel =
      grpc::CreateCustomChannel(argv[1], grpc::InsecureChannelCredentials(), options);
  const auto collections = qdrant::Collections::NewStub(channel);
  const auto points = qdrant::Points::NewStub(channel);

  qdrant::CreateCollection create;
  create.set_collection_name("guide-cpp");
  auto* params = create.mutable_vectors_config()->mutable_params();
  params->set_size(4);
  params->set_distance(qdrant::Distance::Cosine);
  grpc::ClientContext create_context;
  qdrant::CollectionOperationResponse done;
  if (!Succeeded(collections->Create(&create_context, create, &done))) return 1;

  qdrant::UpsertPoints upsert;
  upsert.set_collection_name("guide-cpp");
  upsert.set_wait(true);
  AddPoint(upsert, 1, {0.05f, 0.61f, 0.76f, 0.74f}, "Berlin");
  AddPoint(upsert, 2, {0.19f, 0.81f, 0.75f, 0.11f}, "London");
  grpc::ClientContext upsert_context;
  qdrant::PointsOperationResponse written;
  if (!Succeeded(points->Upsert(&upsert_context, upsert, &written))) return 1;

  qdrant::QueryPoints query;
  query.set_collection_name("guide-cpp");
  query.set_limit(3);
  query.mutable_with_payload()->set_enable(true);
  auto* nearest = query.mutable_query()->mutable_nearest()->mutable_dense()->mutable_data();
  for (const float value : {0.2f, 0.1f, 0.9f, 0.7f}) nearest->Add(value);
  auto* condition = query.mutable_filter()->add_must()->mutable_field();
  condition->set_key("city");
  condition->mutable_match()->set_keyword("London");
  grpc::ClientContext query_context;
  qdrant::QueryResponse found;
  if (!Succeeded(points->Query(&query_context, query, &found))) return 1;
  for (const auto& hit : found.result()) std::cout << hit.ShortDebugString() << "\n";

  qdrant::DeleteCollection drop;
  drop.set_collection_name("guide-cpp");
  grpc::ClientContext drop_context;
  return Succeeded(collections->Delete(&drop_context, drop, &done)) ? 0 : 1;
}
