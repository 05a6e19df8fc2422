//! Named, sparse and multi-vectors: written, some left out, updated, deleted, searched.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    vector_output::Vector as Kind, CreateCollectionBuilder, DeletePointVectorsBuilder, Distance,
    GetPointsBuilder, MultiVectorComparator, MultiVectorConfigBuilder, PointStruct, PointVectors,
    PointsIdsList, QueryPointsBuilder, RetrievedPoint, SparseVectorParamsBuilder,
    SparseVectorsConfigBuilder, UpdatePointVectorsBuilder, UpsertPointsBuilder, Vector,
    VectorParamsBuilder, VectorsConfigBuilder,
};
use qdrant_client::{Payload, Qdrant};
use tonic::Code;

use crate::{assert_completed, assert_refused, create, id_text, put, read, Outcome};

const NAME: &str = "rust-vectors";
const IMAGE: [f32; 4] = [0.9, 0.1, 0.1, 0.2];
const TEXT: [f32; 8] = [0.4, 0.7, 0.1, 0.8, 0.1, 0.1, 0.9, 0.2];

pub async fn walk(client: &Qdrant) -> Outcome {
    let mut dense = VectorsConfigBuilder::default();
    dense.add_named_vector_params("image", VectorParamsBuilder::new(4, Distance::Dot));
    dense.add_named_vector_params("text", VectorParamsBuilder::new(8, Distance::Dot));
    let rows = MultiVectorConfigBuilder::new(MultiVectorComparator::MaxSim);
    dense.add_named_vector_params(
        "tokens",
        VectorParamsBuilder::new(2, Distance::Dot).multivector_config(rows),
    );
    let mut sparse = SparseVectorsConfigBuilder::default();
    sparse.add_named_vector_params("terms", SparseVectorParamsBuilder::default());
    let request = CreateCollectionBuilder::new(NAME)
        .vectors_config(dense)
        .sparse_vectors_config(sparse);
    create(client, request).await?;
    named(client).await?;
    sparse_and_multi(client).await?;
    update(client).await?;
    deletion(client).await?;
    client.delete_collection(NAME).await?;
    Ok(())
}

fn point(id: u64, vectors: HashMap<String, Vector>) -> PointStruct {
    PointStruct::new(id, vectors, Payload::default())
}

fn only(name: &str, vector: impl Into<Vector>) -> HashMap<String, Vector> {
    HashMap::from([(name.to_string(), vector.into())])
}

/// The names of a point's vectors.
fn names(point: &RetrievedPoint) -> Vec<&str> {
    use qdrant_client::qdrant::vectors_output::VectorsOptions;
    let options = point
        .vectors
        .as_ref()
        .and_then(|vectors| vectors.vectors_options.as_ref());
    let mut names: Vec<&str> = match options {
        Some(VectorsOptions::Vectors(named)) => named.vectors.keys().map(String::as_str).collect(),
        Some(VectorsOptions::Vector(_)) => panic!("an unnamed vector"),
        None => vec![],
    };
    names.sort_unstable();
    names
}

fn vector(point: &RetrievedPoint, name: &str) -> Kind {
    let vectors = point.vectors.as_ref().expect("vectors");
    vectors.get_vector_by_name(name).expect("a vector")
}

fn dense(point: &RetrievedPoint, name: &str) -> Vec<f32> {
    match vector(point, name) {
        Kind::Dense(dense) => dense.data,
        other => panic!("not dense: {other:?}"),
    }
}

async fn named(client: &Qdrant) -> Outcome {
    let both = HashMap::from([
        ("image".to_string(), IMAGE.to_vec()),
        ("text".to_string(), TEXT.to_vec()),
    ]);
    put(
        client,
        NAME,
        vec![
            PointStruct::new(1, both.clone(), Payload::default()),
            PointStruct::new(2, both, Payload::default()),
            point(3, only("image", vec![0.2, 0.1, 0.3, 0.9])),
            point(4, only("text", TEXT.to_vec())),
        ],
    )
    .await?;
    let first = read(client, NAME, 1).await?;
    assert_eq!(names(&first), ["image", "text"]);
    assert_eq!(dense(&first, "image"), IMAGE);
    assert_eq!(dense(&first, "text"), TEXT);
    assert_eq!(names(&read(client, NAME, 3).await?), ["image"]);
    assert_eq!(names(&read(client, NAME, 4).await?), ["text"]);
    // Written again with one vector, a point has only that.
    put(client, NAME, vec![point(2, only("text", TEXT.to_vec()))]).await?;
    assert_eq!(names(&read(client, NAME, 2).await?), ["text"]);
    let request = GetPointsBuilder::new(NAME, vec![1.into()]).with_vectors(
        qdrant_client::qdrant::VectorsSelector::from(vec!["image".to_string()]),
    );
    assert_eq!(
        names(&client.get_points(request).await?.result[0]),
        ["image"]
    );
    let request = QueryPointsBuilder::new(NAME)
        .query(IMAGE.to_vec())
        .using("image");
    let hits = client.query(request).await?.result;
    let ids: Vec<String> = hits.iter().map(|hit| id_text(&hit.id)).collect();
    assert_eq!(ids, ["1", "3"]);
    assert!((hits[0].score - 0.87).abs() < 1e-5);
    let wrong = vec![point(5, only("image", vec![0.5; 3]))];
    let reply = client
        .upsert_points(UpsertPointsBuilder::new(NAME, wrong))
        .await;
    assert_refused(reply, Code::InvalidArgument);
    Ok(())
}

async fn sparse_and_multi(client: &Qdrant) -> Outcome {
    let terms = HashMap::from([("terms".to_string(), vec![(7, 2.0), (1, 0.5), (6, 1.0)])]);
    let rows = vec![vec![0.1, 0.2], vec![0.3, 0.4], vec![0.5, 0.6]];
    put(
        client,
        NAME,
        vec![
            PointStruct::new(6, terms, Payload::default()),
            point(7, only("tokens", rows)),
        ],
    )
    .await?;
    match vector(&read(client, NAME, 6).await?, "terms") {
        Kind::Sparse(sparse) => {
            assert_eq!(sparse.indices, [1, 6, 7]);
            assert_eq!(sparse.values, [0.5, 1.0, 2.0]);
        }
        other => panic!("not sparse: {other:?}"),
    }
    match vector(&read(client, NAME, 7).await?, "tokens") {
        Kind::MultiDense(multi) => {
            let rows: Vec<Vec<f32>> = multi.vectors.into_iter().map(|row| row.data).collect();
            assert_eq!(rows, [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]);
        }
        other => panic!("not a multi-vector: {other:?}"),
    }
    let twice = vec![point(8, only("terms", vec![(1, 0.1), (1, 0.2)]))];
    let reply = client
        .upsert_points(UpsertPointsBuilder::new(NAME, twice))
        .await;
    assert_refused(reply, Code::InvalidArgument);
    Ok(())
}

fn new_vectors(id: u64, name: &str, vector: Vec<f32>) -> PointVectors {
    PointVectors {
        id: Some(id.into()),
        vectors: Some(HashMap::from([(name.to_string(), vector)]).into()),
    }
}

async fn update(client: &Qdrant) -> Outcome {
    let request = UpdatePointVectorsBuilder::new(
        NAME,
        vec![
            new_vectors(1, "image", vec![0.1, 0.2, 0.3, 0.4]),
            new_vectors(2, "image", vec![0.4, 0.3, 0.2, 0.1]),
        ],
    );
    assert_completed(&client.update_vectors(request.wait(true)).await?);
    let first = read(client, NAME, 1).await?;
    assert_eq!(dense(&first, "image"), [0.1, 0.2, 0.3, 0.4]);
    assert_eq!(dense(&first, "text"), TEXT);
    let second = read(client, NAME, 2).await?;
    assert_eq!(names(&second), ["image", "text"]);
    assert_eq!(dense(&second, "image"), [0.4, 0.3, 0.2, 0.1]);
    let missing = vec![new_vectors(99, "image", IMAGE.to_vec())];
    let request = UpdatePointVectorsBuilder::new(NAME, missing).wait(true);
    assert_refused(client.update_vectors(request).await, Code::NotFound);
    Ok(())
}

async fn deletion(client: &Qdrant) -> Outcome {
    let text = || only("text", TEXT.to_vec());
    put(client, NAME, vec![point(0, text()), point(10, text())]).await?;
    let request = |numbers: [u64; 3]| {
        DeletePointVectorsBuilder::new(NAME)
            .points_selector(PointsIdsList {
                ids: numbers.map(Into::into).to_vec(),
            })
            .vectors(vec!["text".into(), "image".into()])
            .wait(true)
    };
    assert_completed(&client.delete_vectors(request([0, 3, 10])).await?);
    for id in [0, 3, 10] {
        assert_eq!(names(&read(client, NAME, id).await?), Vec::<&str>::new());
    }
    assert_eq!(names(&read(client, NAME, 1).await?), ["image", "text"]);
    let missing = client.delete_vectors(request([0, 3, 99])).await;
    assert_refused(missing, Code::NotFound);
    Ok(())
}
