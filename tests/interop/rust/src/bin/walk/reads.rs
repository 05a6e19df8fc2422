//! Retrieving, scrolling, ordering, counting, searching with a filter.

use qdrant_client::qdrant::{
    start_from::Value as StartFrom, Condition, CountPointsBuilder,
    CreateFieldIndexCollectionBuilder, Direction, Distance, FieldType, Filter, GetPointsBuilder,
    OrderBy, OrderByBuilder, PayloadExcludeSelector, PayloadIncludeSelector, PointStruct,
    QueryPointsBuilder, ScrollPointsBuilder, SearchPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::Qdrant;

use crate::{assert_completed, create_plain, id_text, ids_of, payload_text, put, Outcome};

const NAME: &str = "rust-reads";
const COUNT: u64 = 12;

pub async fn walk(client: &Qdrant) -> Outcome {
    create_plain(client, NAME, VectorParamsBuilder::new(2, Distance::Dot)).await?;
    let points = (0..COUNT).map(|id| {
        let color = if id % 3 == 0 { "red" } else { "green" };
        // Two points share each time, later ones come first.
        let payload = [("color", color.into()), ("timestamp", time_of(id).into())];
        PointStruct::new(id, vec![1.0, id as f32], payload)
    });
    put(client, NAME, points.collect()).await?;
    retrieve(client).await?;
    scroll(client).await?;
    order(client).await?;
    count(client).await?;
    search(client).await?;
    client.delete_collection(NAME).await?;
    Ok(())
}

fn time_of(id: u64) -> i64 {
    128 - (id / 2) as i64
}

fn red() -> Filter {
    Filter::must([Condition::matches("color", "red".to_string())])
}

async fn retrieve(client: &Qdrant) -> Outcome {
    let ids = || vec![3.into(), 0.into(), 100.into()];
    let found = client
        .get_points(GetPointsBuilder::new(NAME, ids()))
        .await?;
    assert_eq!(ids_of(&found.result), ["3", "0"]);
    assert!(found.result[0].payload.is_empty() && found.result[0].vectors.is_none());
    let include = PayloadIncludeSelector::from(vec!["timestamp".to_string()]);
    let request = GetPointsBuilder::new(NAME, ids()).with_payload(include);
    let found = client.get_points(request).await?.result;
    assert_eq!(payload_text(&found[0].payload), "timestamp=127");
    let exclude = PayloadExcludeSelector::from(vec!["timestamp".to_string()]);
    let request = GetPointsBuilder::new(NAME, ids()).with_payload(exclude);
    let found = client.get_points(request).await?.result;
    assert_eq!(payload_text(&found[0].payload), "color=red");
    Ok(())
}

async fn scroll(client: &Qdrant) -> Outcome {
    let request = || {
        ScrollPointsBuilder::new(NAME)
            .filter(red())
            .limit(1)
            .with_payload(true)
            .with_vectors(false)
    };
    let mut seen = vec![];
    let mut page = client.scroll(request()).await?;
    loop {
        assert_eq!(page.result.len(), 1);
        assert_eq!(
            page.result[0].get("color").as_str().map(String::as_str),
            Some("red")
        );
        assert!(page.result[0].vectors.is_none());
        seen.extend(ids_of(&page.result));
        let Some(offset) = page.next_page_offset else {
            break;
        };
        page = client.scroll(request().offset(offset)).await?;
    }
    assert_eq!(seen, ["0", "3", "6", "9"]);
    Ok(())
}

/// Reads one ordered page; such a page names no next one.
async fn ordered(
    client: &Qdrant,
    order_by: impl Into<OrderBy>,
    filter: Filter,
    limit: u32,
) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let request = ScrollPointsBuilder::new(NAME)
        .filter(filter)
        .limit(limit)
        .order_by(order_by);
    let page = client.scroll(request).await?;
    assert!(page.next_page_offset.is_none());
    Ok(ids_of(&page.result))
}

async fn order(client: &Qdrant) -> Outcome {
    let index = CreateFieldIndexCollectionBuilder::new(NAME, "timestamp", FieldType::Integer);
    assert_completed(&client.create_field_index(index.wait(true)).await?);
    let key = || OrderByBuilder::new("timestamp");
    let ascending = ordered(client, key(), Filter::default(), 15).await?;
    assert_eq!(
        ascending,
        ["10", "11", "8", "9", "6", "7", "4", "5", "2", "3", "0", "1"]
    );
    let down = || key().direction(Direction::Desc.into());
    let descending = ordered(client, down(), Filter::default(), 3).await?;
    assert_eq!(descending, ["1", "0", "3"]);
    let from = || down().start_from(StartFrom::Integer(125));
    let started = ordered(client, from(), Filter::default(), 3).await?;
    let mut first = started[..2].to_vec();
    first.sort();
    assert_eq!(first, ["6", "7"]);
    // The page after that: from its last value on, without the points that have been seen.
    let seen: Vec<u64> = started.iter().map(|id| id.parse().unwrap()).collect();
    let from = down().start_from(StartFrom::Integer(time_of(seen[2])));
    let rest = ordered(
        client,
        from,
        Filter::must_not([Condition::has_id(seen)]),
        15,
    )
    .await?;
    let mut all = [started, rest].concat();
    all.sort();
    assert_eq!(all, ["10", "11", "6", "7", "8", "9"]);
    Ok(())
}

async fn count(client: &Qdrant) -> Outcome {
    for (request, expected) in [
        (CountPointsBuilder::new(NAME).filter(red()).exact(true), 4),
        (CountPointsBuilder::new(NAME).exact(true), COUNT),
    ] {
        let reply = client.count(request).await?;
        assert_eq!(reply.result.expect("a result").count, expected);
    }
    let estimate = CountPointsBuilder::new(NAME).filter(red()).exact(false);
    let estimate = client.count(estimate).await?.result.expect("a result");
    assert!((1..=COUNT).contains(&estimate.count), "{}", estimate.count);
    Ok(())
}

async fn search(client: &Qdrant) -> Outcome {
    let request = QueryPointsBuilder::new(NAME)
        .query(vec![1.0, 1.0])
        .filter(red())
        .limit(3)
        .with_payload(true);
    let hits = client.query(request).await?.result;
    let found: Vec<(String, f32)> = hits
        .iter()
        .map(|hit| (id_text(&hit.id), hit.score))
        .collect();
    let expected = [("9", 10.0), ("6", 7.0), ("3", 4.0)].map(|(id, score)| (id.to_string(), score));
    assert_eq!(found, expected);
    assert_eq!(payload_text(&hits[0].payload), "color=red timestamp=124");
    let request = SearchPointsBuilder::new(NAME, vec![1.0, 1.0], 1).filter(red());
    let hits = client.search_points(request).await?.result;
    assert_eq!(id_text(&hits[0].id), "9");
    Ok(())
}
