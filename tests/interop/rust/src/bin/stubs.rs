//! A round trip with stubs that tonic generated from `proto/`, without the official client.
//!
//! Usage: `stubs HOST:PORT`. Ends with status 0, or with the first assertion that does not hold.

// Generated code is as it is.
#[allow(clippy::all, dead_code, deprecated)]
mod api {
    tonic::include_proto!("qdrant");
}

use std::collections::HashMap;
use std::error::Error;

use api::collections_client::CollectionsClient;
use api::points_client::PointsClient;
use tonic::transport::Channel;

const NAME: &str = "rust-stubs";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("usage: stubs HOST:PORT")?;
    let channel = Channel::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut collections = CollectionsClient::new(channel.clone());
    let drop = api::DeleteCollection {
        collection_name: NAME.into(),
        ..Default::default()
    };
    collections.delete(drop.clone()).await?;
    create(&mut collections).await?;
    round_trip(&mut PointsClient::new(channel)).await?;
    assert!(collections.delete(drop).await?.into_inner().result);
    println!("made a round trip");
    Ok(())
}

async fn create(collections: &mut CollectionsClient<Channel>) -> Result<(), Box<dyn Error>> {
    let params = api::VectorParams {
        size: 4,
        distance: api::Distance::Dot.into(),
        ..Default::default()
    };
    let request = api::CreateCollection {
        collection_name: NAME.into(),
        vectors_config: Some(api::VectorsConfig {
            config: Some(api::vectors_config::Config::Params(params)),
        }),
        ..Default::default()
    };
    assert!(collections.create(request).await?.into_inner().result);
    Ok(())
}

fn number(id: u64) -> Option<api::PointId> {
    Some(api::PointId {
        point_id_options: Some(api::point_id::PointIdOptions::Num(id)),
    })
}

fn point(id: u64, data: Vec<f32>) -> api::PointStruct {
    use api::{value, vector, vectors};
    let vector = api::Vector {
        vector: Some(vector::Vector::Dense(api::DenseVector { data })),
        ..Default::default()
    };
    let city = api::Value {
        kind: Some(value::Kind::StringValue("Berlin".into())),
    };
    api::PointStruct {
        id: number(id),
        payload: HashMap::from([("city".to_string(), city)]),
        vectors: Some(api::Vectors {
            vectors_options: Some(vectors::VectorsOptions::Vector(vector)),
        }),
    }
}

async fn round_trip(points: &mut PointsClient<Channel>) -> Result<(), Box<dyn Error>> {
    let request = api::UpsertPoints {
        collection_name: NAME.into(),
        wait: Some(true),
        points: vec![
            point(1, vec![1.0, 0.0, 0.0, 0.0]),
            point(2, vec![0.0, 2.0, 0.0, 0.0]),
        ],
        ..Default::default()
    };
    let reply = points.upsert(request).await?.into_inner().result;
    assert_eq!(
        reply.expect("a result").status(),
        api::UpdateStatus::Completed
    );

    let input = api::VectorInput {
        variant: Some(api::vector_input::Variant::Dense(api::DenseVector {
            data: vec![0.0, 1.0, 0.0, 0.0],
        })),
    };
    let request = api::QueryPoints {
        collection_name: NAME.into(),
        query: Some(api::Query {
            variant: Some(api::query::Variant::Nearest(input)),
        }),
        limit: Some(1),
        ..Default::default()
    };
    let hits = points.query(request).await?.into_inner().result;
    assert_eq!(hits.len(), 1);
    assert_eq!((hits[0].id.clone(), hits[0].score), (number(2), 2.0));

    let request = api::ScrollPoints {
        collection_name: NAME.into(),
        ..Default::default()
    };
    let page = points.scroll(request).await?.into_inner();
    let ids: Vec<_> = page.result.iter().map(|point| point.id.clone()).collect();
    assert_eq!(ids, [number(1), number(2)]);
    let city = page.result[0].payload["city"].kind.clone();
    assert_eq!(city, Some(api::value::Kind::StringValue("Berlin".into())));
    assert!(page.next_page_offset.is_none());
    Ok(())
}
