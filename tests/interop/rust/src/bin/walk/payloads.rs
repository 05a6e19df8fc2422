//! Payload: set, overwritten, its keys deleted, cleared; by ids and by filter.

use qdrant_client::qdrant::{
    ClearPayloadPointsBuilder, Condition, DeletePayloadPointsBuilder, DeletePointsBuilder,
    Distance, Filter, PointStruct, PointsIdsList, ScrollPointsBuilder, SetPayloadPointsBuilder,
    VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant};

use crate::{assert_completed, create_plain, ids_of, payload_text, put, read, Outcome};

const NAME: &str = "rust-payloads";

pub async fn walk(client: &Qdrant) -> Outcome {
    create_plain(client, NAME, VectorParamsBuilder::new(2, Distance::Dot)).await?;
    let points = (0..6).map(|id| {
        let color = if id % 2 == 0 { "red" } else { "green" };
        PointStruct::new(id, vec![1.0, id as f32], [("color", color.into())])
    });
    put(client, NAME, points.collect()).await?;
    set(client).await?;
    overwrite(client).await?;
    removal(client).await?;
    deletion(client).await?;
    client.delete_collection(NAME).await?;
    Ok(())
}

fn ids(numbers: &[u64]) -> PointsIdsList {
    PointsIdsList {
        ids: numbers.iter().map(|&number| number.into()).collect(),
    }
}

fn red() -> Filter {
    Filter::must([Condition::matches("color", "red".to_string())])
}

async fn assert_payload(client: &Qdrant, id: u64, expected: &str) -> Outcome {
    assert_eq!(
        payload_text(&read(client, NAME, id).await?.payload),
        expected
    );
    Ok(())
}

async fn set(client: &Qdrant) -> Outcome {
    let inner = Payload::from([("width", 1.5.into())]);
    let payload = Payload::from([("size", 7.into()), ("box", inner.into())]);
    let request = SetPayloadPointsBuilder::new(NAME, payload).points_selector(ids(&[0, 1]));
    assert_completed(&client.set_payload(request.wait(true)).await?);
    assert_payload(client, 0, "box={width=1.5} color=red size=7").await?;
    assert_payload(client, 1, "box={width=1.5} color=green size=7").await?;
    // Into an object inside.
    let request = SetPayloadPointsBuilder::new(NAME, Payload::from([("depth", 2.into())]))
        .points_selector(ids(&[0]))
        .key("box");
    assert_completed(&client.set_payload(request.wait(true)).await?);
    assert_payload(client, 0, "box={depth=2 width=1.5} color=red size=7").await?;
    let request = SetPayloadPointsBuilder::new(NAME, Payload::from([("warm", true.into())]))
        .points_selector(red());
    assert_completed(&client.set_payload(request.wait(true)).await?);
    assert_payload(client, 4, "color=red warm=true").await?;
    assert_payload(client, 5, "color=green").await
}

async fn overwrite(client: &Qdrant) -> Outcome {
    let request = SetPayloadPointsBuilder::new(NAME, Payload::from([("color", "blue".into())]))
        .points_selector(ids(&[0]));
    assert_completed(&client.overwrite_payload(request.wait(true)).await?);
    assert_payload(client, 0, "color=blue").await
}

async fn removal(client: &Qdrant) -> Outcome {
    let keys = vec!["size".to_string(), "box.width".to_string()];
    let request = DeletePayloadPointsBuilder::new(NAME, keys).points_selector(ids(&[1]));
    assert_completed(&client.delete_payload(request.wait(true)).await?);
    assert_payload(client, 1, "box={} color=green").await?;
    let request = ClearPayloadPointsBuilder::new(NAME).points(ids(&[3]));
    assert_completed(&client.clear_payload(request.wait(true)).await?);
    assert_payload(client, 3, "").await
}

async fn deletion(client: &Qdrant) -> Outcome {
    let request = DeletePointsBuilder::new(NAME).points(red()).wait(true);
    assert_completed(&client.delete_points(request).await?);
    let left = client.scroll(ScrollPointsBuilder::new(NAME)).await?;
    assert_eq!(ids_of(&left.result), ["0", "1", "3", "5"]);
    Ok(())
}
