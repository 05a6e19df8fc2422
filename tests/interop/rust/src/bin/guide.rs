use qdrant_client::qdrant::{
    Condition, CreateCollectionBuilder, Distance, Filter, GetPointsBuilder, PointStruct,
    QueryPointsBuilder, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::{Qdrant, QdrantError};

#[tokio::main]
async fn main() -> Result<(), QdrantError> {
    let address = std::env::args().nth(1).expect("usage: guide HOST:PORT");
    let mut config =
        Qdrant::from_url(&format!("http://{address}")).timeout(std::time::Duration::from_secs(30));
    config.set_pool_size(4);
    let client = config.build()?;
    let vector = VectorParamsBuilder::new(4, Distance::Cosine);
    client
        .create_collection(CreateCollectionBuilder::new("guide-rust").vectors_config(vector))
        .await?;
    let points = vec![
        PointStruct::new(1, vec![0.05, 0.61, 0.76, 0.74], [("city", "Berlin".into())]),
        PointStruct::new(2, vec![0.19, 0.81, 0.75, 0.11], [("city", "London".into())]),
    ];
    client
        .upsert_points(UpsertPointsBuilder::new("guide-rust", points).wait(true))
        .await?;
    let query = QueryPointsBuilder::new("guide-rust")
        .query(vec![0.2, 0.1, 0.9, 0.7])
        .filter(Filter::must([Condition::matches(
            "city",
            "London".to_string(),
        )]))
        .limit(3)
        .with_payload(true);
    for hit in client.query(query).await?.result {
        println!("{:?} {:.3} {:?}", hit.id, hit.score, hit.payload);
    }
    let missing = GetPointsBuilder::new("no-such-collection", vec![1.into()]);
    if let Err(QdrantError::ResponseError { status }) = client.get_points(missing).await {
        println!("{:?}: {}", status.code(), status.message());
    }
    client.delete_collection("guide-rust").await?;
    Ok(())
}
