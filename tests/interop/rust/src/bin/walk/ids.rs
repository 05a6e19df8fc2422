//! Ids as numbers and UUIDs in every spelling, writing twice, waiting or not.

use qdrant_client::qdrant::{
    CountPointsBuilder, DeletePointsBuilder, Distance, PointId, PointStruct, PointsIdsList,
    UpdateStatus, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::Qdrant;
use tonic::Code;

use crate::{assert_completed, assert_refused, create_plain, put, read, status, Outcome};
use crate::{id_text, payload_text};

const NAME: &str = "rust-ids";
const UUID: &str = "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4";
const SPELLINGS: [&str; 5] = [
    "F9168C5ECEB24faaB6BF329BF39FA1E4",
    "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4",
    "F9168C5E-CEB2-4FAA-B6BF-329BF39FA1E4",
    "urn:uuid:F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4",
    "{F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4}",
];

pub async fn walk(client: &Qdrant) -> Outcome {
    create_plain(client, NAME, VectorParamsBuilder::new(3, Distance::Dot)).await?;
    spellings(client).await?;
    numbers(client).await?;
    waiting(client).await?;
    deletion(client).await?;
    client.delete_collection(NAME).await?;
    Ok(())
}

fn color(id: impl Into<PointId>, vector: [f32; 3], color: &str) -> PointStruct {
    PointStruct::new(id, vector.to_vec(), [("color", color.into())])
}

async fn count(client: &Qdrant) -> Result<u64, Box<dyn std::error::Error>> {
    let reply = client
        .count(CountPointsBuilder::new(NAME).exact(true))
        .await?;
    Ok(reply.result.expect("a result").count)
}

async fn spellings(client: &Qdrant) -> Outcome {
    for (turn, spelling) in SPELLINGS.into_iter().enumerate() {
        let text = format!("red {turn}");
        put(client, NAME, vec![color(spelling, [0.9, 0.1, 0.1], &text)]).await?;
        assert_eq!(count(client).await?, 1, "{spelling} is another point");
        for other in SPELLINGS {
            let point = read(client, NAME, other).await?;
            assert_eq!(id_text(&point.id), UUID);
            assert_eq!(payload_text(&point.payload), format!("color={text}"));
        }
    }
    let wrong = UpsertPointsBuilder::new(NAME, vec![color("f9168c5e", [0.9, 0.1, 0.1], "red")]);
    assert_refused(client.upsert_points(wrong).await, Code::InvalidArgument);
    Ok(())
}

async fn numbers(client: &Qdrant) -> Outcome {
    let points = vec![
        color(1, [0.9, 0.1, 0.1], "red"),
        color(2, [0.1, 0.9, 0.1], "green"),
        color(u64::MAX, [0.1, 0.1, 0.9], "blue"),
    ];
    for _ in 0..2 {
        put(client, NAME, points.clone()).await?;
        assert_eq!(count(client).await?, 4);
        let point = read(client, NAME, u64::MAX).await?;
        assert_eq!(id_text(&point.id), u64::MAX.to_string());
        assert_eq!(payload_text(&point.payload), "color=blue");
    }
    // Written again, a point is replaced as a whole.
    put(
        client,
        NAME,
        vec![PointStruct::new(
            2,
            vec![0.5, 0.5, 0.5],
            [("size", 7.into())],
        )],
    )
    .await?;
    assert_eq!(
        payload_text(&read(client, NAME, 2).await?.payload),
        "size=7"
    );
    Ok(())
}

async fn waiting(client: &Qdrant) -> Outcome {
    let mut numbers = vec![];
    for (wait, expected) in [
        (Some(true), UpdateStatus::Completed),
        (Some(false), UpdateStatus::Acknowledged),
        (None, UpdateStatus::Acknowledged),
    ] {
        let mut request = UpsertPointsBuilder::new(NAME, vec![color(3, [0.0, 0.0, 1.0], "blue")]);
        if let Some(wait) = wait {
            request = request.wait(wait);
        }
        let reply = client.upsert_points(request).await?;
        assert_eq!(status(&reply), expected, "wait {wait:?}");
        numbers.push(reply.result.and_then(|result| result.operation_id));
    }
    assert!(numbers[0] < numbers[1] && numbers[1] < numbers[2]);
    Ok(())
}

async fn deletion(client: &Qdrant) -> Outcome {
    let ids = vec![0.into(), 3.into(), SPELLINGS[3].into()];
    let request = DeletePointsBuilder::new(NAME)
        .points(PointsIdsList { ids })
        .wait(true);
    assert_completed(&client.delete_points(request).await?);
    assert_eq!(count(client).await?, 3);
    Ok(())
}
