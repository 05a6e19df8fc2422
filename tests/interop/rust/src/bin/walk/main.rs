//! The official client walks through the Points page of the documentation and asserts every result.
//!
//! Usage: `walk HOST:PORT`. Ends with status 0, or with the first assertion that does not hold.

mod batches;
mod ids;
mod payloads;
mod reads;
mod vectors;

use std::collections::HashMap;
use std::error::Error;

use qdrant_client::qdrant::{
    point_id::PointIdOptions, value::Kind, CountPointsBuilder, CreateCollectionBuilder,
    GetPointsBuilder, PointId, PointStruct, PointsOperationResponse, RetrievedPoint, UpdateStatus,
    UpsertPointsBuilder, Value, VectorsConfig,
};
use qdrant_client::{Qdrant, QdrantError};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let address = std::env::args().nth(1).ok_or("usage: walk HOST:PORT")?;
    // Without its check of versions, which is a call of its own and only prints.
    let client = Qdrant::from_url(&format!("http://{address}"))
        .skip_compatibility_check()
        .build()?;
    ids::walk(&client).await?;
    vectors::walk(&client).await?;
    payloads::walk(&client).await?;
    reads::walk(&client).await?;
    batches::walk(&client).await?;
    missing_collection(&client).await?;
    println!("walked through the Points page");
    Ok(())
}

async fn missing_collection(client: &Qdrant) -> Outcome {
    let reply = client.count(CountPointsBuilder::new("rust-none")).await;
    let Err(QdrantError::ResponseError { status }) = reply else {
        panic!("counted in no collection: {reply:?}");
    };
    assert_eq!(status.code(), tonic::Code::NotFound);
    assert_eq!(
        status.message(),
        "Not found: Collection `rust-none` doesn't exist!"
    );
    Ok(())
}

/// Creates a collection, in place of one that an earlier run has left.
async fn create(client: &Qdrant, request: CreateCollectionBuilder) -> Outcome {
    let request: qdrant_client::qdrant::CreateCollection = request.into();
    if client.collection_exists(&request.collection_name).await? {
        client.delete_collection(&request.collection_name).await?;
    }
    assert!(client.create_collection(request).await?.result);
    Ok(())
}

/// Creates a collection with one unnamed vector.
async fn create_plain(client: &Qdrant, name: &str, vector: impl Into<VectorsConfig>) -> Outcome {
    create(
        client,
        CreateCollectionBuilder::new(name).vectors_config(vector),
    )
    .await
}

/// Upserts points and waits.
async fn put(client: &Qdrant, name: &str, points: Vec<PointStruct>) -> Outcome {
    let request = UpsertPointsBuilder::new(name, points).wait(true);
    assert_completed(&client.upsert_points(request).await?);
    Ok(())
}

/// Reads one point with everything it has.
async fn read(
    client: &Qdrant,
    name: &str,
    id: impl Into<PointId>,
) -> Result<RetrievedPoint, Box<dyn Error>> {
    let request = GetPointsBuilder::new(name, vec![id.into()])
        .with_payload(true)
        .with_vectors(true);
    let mut found = client.get_points(request).await?.result;
    assert_eq!(found.len(), 1);
    Ok(found.remove(0))
}

fn assert_completed(reply: &PointsOperationResponse) {
    assert_eq!(status(reply), UpdateStatus::Completed);
}

fn status(reply: &PointsOperationResponse) -> UpdateStatus {
    reply.result.as_ref().expect("a result").status()
}

/// Asserts that a call was refused with this code.
fn assert_refused<T: std::fmt::Debug>(reply: Result<T, QdrantError>, code: tonic::Code) {
    match reply {
        Err(QdrantError::ResponseError { status }) => assert_eq!(status.code(), code, "{status}"),
        other => panic!("not refused with {code:?}: {other:?}"),
    }
}

/// An id as text: its number, or its UUID as the server writes it.
fn id_text(id: &Option<PointId>) -> String {
    match id.as_ref().and_then(|id| id.point_id_options.as_ref()) {
        Some(PointIdOptions::Num(number)) => number.to_string(),
        Some(PointIdOptions::Uuid(uuid)) => uuid.clone(),
        None => panic!("a point without an id"),
    }
}

fn ids_of(points: &[RetrievedPoint]) -> Vec<String> {
    points.iter().map(|point| id_text(&point.id)).collect()
}

/// The payload with its values as text, in order of the keys.
fn payload_text(payload: &HashMap<String, Value>) -> String {
    let mut pairs: Vec<String> = payload
        .iter()
        .map(|(key, value)| format!("{key}={}", value_text(value)))
        .collect();
    pairs.sort();
    pairs.join(" ")
}

fn value_text(value: &Value) -> String {
    match value.kind.as_ref().expect("a kind") {
        Kind::NullValue(_) => "null".into(),
        Kind::BoolValue(value) => value.to_string(),
        Kind::IntegerValue(value) => value.to_string(),
        Kind::DoubleValue(value) => format!("{value:?}"),
        Kind::StringValue(value) => value.clone(),
        Kind::StructValue(value) => format!("{{{}}}", payload_text(&value.fields)),
        Kind::ListValue(list) => {
            let values: Vec<String> = list.values.iter().map(value_text).collect();
            format!("[{}]", values.join(","))
        }
    }
}
