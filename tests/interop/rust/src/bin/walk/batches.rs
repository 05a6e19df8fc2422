//! A batch of all eight operations, applied in their order.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    points_update_operation::{
        ClearPayload, DeletePayload, DeletePoints, DeleteVectors, Operation, OverwritePayload,
        PointStructList, SetPayload, UpdateVectors,
    },
    CountPointsBuilder, Distance, PointStruct, PointVectors, PointsUpdateOperation,
    UpdateBatchPointsBuilder, UpdateStatus, Value, VectorParamsBuilder, VectorsSelector,
};
use qdrant_client::{Payload, Qdrant};

use crate::{create_plain, payload_text, read, Outcome};

const NAME: &str = "rust-batches";

pub async fn walk(client: &Qdrant) -> Outcome {
    create_plain(client, NAME, VectorParamsBuilder::new(4, Distance::Dot)).await?;
    // Each operation alone leaves its trace; after all of them nothing is left.
    for (taken, payload, has_vector) in [
        (1, "", true),
        (2, "", true),
        (3, "", false),
        (4, "test_payload=1", false),
        (5, "test_payload=1 test_payload_2=2 test_payload_3=3", false),
        (6, "test_payload=1 test_payload_3=3", false),
        (7, "", false),
    ] {
        apply(client, taken, true).await?;
        let point = read(client, NAME, 1).await?;
        assert_eq!(payload_text(&point.payload), payload, "after {taken}");
        assert_eq!(
            point.vectors.is_some_and(|v| v.get_vector().is_some()),
            has_vector,
            "after {taken}"
        );
    }
    apply(client, 8, true).await?;
    let count = client
        .count(CountPointsBuilder::new(NAME).exact(true))
        .await?;
    assert_eq!(count.result.expect("a result").count, 0);
    apply(client, 1, false).await?;
    assert_eq!(payload_text(&read(client, NAME, 1).await?.payload), "");
    client.delete_collection(NAME).await?;
    Ok(())
}

/// Sends the first operations in one request; every one has a result.
async fn apply(client: &Qdrant, taken: usize, wait: bool) -> Outcome {
    let operations: Vec<_> = operations().into_iter().take(taken).collect();
    let request = UpdateBatchPointsBuilder::new(NAME, operations).wait(wait);
    let reply = client.update_points_batch(request).await?;
    assert_eq!(reply.result.len(), taken);
    let expected = if wait {
        UpdateStatus::Completed
    } else {
        UpdateStatus::Acknowledged
    };
    assert!(reply
        .result
        .iter()
        .all(|result| result.status() == expected));
    Ok(())
}

fn payload(pairs: &[(&str, i64)]) -> HashMap<String, Value> {
    pairs
        .iter()
        .map(|&(key, value)| (key.to_string(), value.into()))
        .collect()
}

fn operations() -> Vec<PointsUpdateOperation> {
    let upsert = PointStruct::new(1, vec![1.0, 2.0, 3.0, 4.0], Payload::default());
    let vectors = PointVectors {
        id: Some(1.into()),
        vectors: Some(vec![4.0, 3.0, 2.0, 1.0].into()),
    };
    [
        Operation::Upsert(PointStructList {
            points: vec![upsert],
            ..Default::default()
        }),
        Operation::UpdateVectors(UpdateVectors {
            points: vec![vectors],
            ..Default::default()
        }),
        Operation::DeleteVectors(DeleteVectors {
            points_selector: Some(vec![1.into()].into()),
            vectors: Some(VectorsSelector {
                names: vec!["".into()],
            }),
            ..Default::default()
        }),
        Operation::OverwritePayload(OverwritePayload {
            points_selector: Some(vec![1.into()].into()),
            payload: payload(&[("test_payload", 1)]),
            ..Default::default()
        }),
        Operation::SetPayload(SetPayload {
            points_selector: Some(vec![1.into()].into()),
            payload: payload(&[("test_payload_2", 2), ("test_payload_3", 3)]),
            ..Default::default()
        }),
        Operation::DeletePayload(DeletePayload {
            points_selector: Some(vec![1.into()].into()),
            keys: vec!["test_payload_2".to_string()],
            ..Default::default()
        }),
        Operation::ClearPayload(ClearPayload {
            points: Some(vec![1.into()].into()),
            ..Default::default()
        }),
        Operation::DeletePoints(DeletePoints {
            points: Some(vec![1.into()].into()),
            ..Default::default()
        }),
    ]
    .map(|operation| PointsUpdateOperation {
        operation: Some(operation),
    })
    .to_vec()
}
