//! Searching runs.

use super::compile::{
    Attribute, Entity, Kind, Sql, attribute, attribute_condition, check_no_field_twice, entity,
    number_condition, order_by, pair_condition, text_condition,
};
use super::page::{self, Window};
use super::parse::{self, Clause, Direction, Field, Operator};
use crate::db;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::logging::CONTEXT_TAG;
use crate::types::{Page, RunParts, RunRecord, SearchRuns, View};
use crate::{run_data, validate};

/// Runs on one page.
const PAGE_MAX: usize = 50_000;
/// SQLite would look each value up among all metrics of its run; here those of one metric lie together, and a page
/// that is read for one run has the values of a hundred.
const BY_KEY: &str = " INDEXED BY latest_by_key";
/// The schema that has this index; a store that was opened for reading may be older.
const BY_KEY_VERSION: i64 = 2;
/// Orders in one search.
pub const ORDERS_MAX: usize = 10;

const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "run_id", column: "r.run_id", kind: Kind::Text },
    Attribute { name: "run_name", column: "r.name", kind: Kind::Text },
    Attribute { name: "status", column: "r.status", kind: Kind::Text },
    Attribute { name: "start_time", column: "r.start_ms", kind: Kind::Number },
    Attribute { name: "end_time", column: "r.end_ms", kind: Kind::Number },
    Attribute { name: "user_id", column: "r.\"user\"", kind: Kind::Text },
    Attribute { name: "artifact_uri", column: "r.artifact_uri", kind: Kind::Text },
    Attribute { name: "created", column: "r.start_ms", kind: Kind::Number },
    Attribute { name: "Created", column: "r.start_ms", kind: Kind::Number },
    Attribute { name: "run name", column: "r.name", kind: Kind::Text },
    Attribute { name: "Run name", column: "r.name", kind: Kind::Text },
    Attribute { name: "Run Name", column: "r.name", kind: Kind::Text },
];

impl Ledger {
    /// Runs that pass a filter, in order, with what was recorded in them.
    ///
    /// # Errors
    /// `Invalid` for a filter, order, page or experiment id that is not one.
    pub fn search_runs(&self, search: &SearchRuns) -> Result<Page<RunRecord>> {
        self.search_runs_with(search, &RunParts::default())
    }

    /// The same with only some of what was recorded: for a table that shows few columns, or for the ids alone.
    ///
    /// # Errors
    /// As [`Ledger::search_runs`].
    pub fn search_runs_with(&self, search: &SearchRuns, parts: &RunParts) -> Result<Page<RunRecord>> {
        let (sql, window) = statement(search, self.schema_version() >= BY_KEY_VERSION)?;
        let Some(sql) = sql else { return Ok(Page { items: Vec::new(), next_page_token: None }) };
        self.read(|connection| {
            let mut select = connection.prepare_cached(&sql.text)?;
            let ids = select.query_map(&sql.values[..], |row| row.get::<i64>(0))?;
            let page = window.trim(ids.collect::<db::Result<Vec<_>>>()?);
            let items = run_data::records(connection, &page.items, parts)?;
            Ok(Page { items, next_page_token: page.next_page_token })
        })
    }
}

/// The statement that gives the keys of the page's runs; nothing when no run can be found. Only the keys: a
/// thousand whole rows in the sorter cost more than to look those rows up afterwards.
fn statement(search: &SearchRuns, by_key: bool) -> Result<(Option<Sql>, Window)> {
    let window = page::window(search.page_token.as_deref(), search.max_results, PAGE_MAX)?;
    let experiments = validate::experiment_ids(&search.experiment_ids)?;
    let conditions = conditions(&search.filter)?;
    let (joins, orders) = orders(&search.order_by, by_key)?;
    if experiments.is_empty() {
        return Ok((None, window));
    }
    let mut sql = Sql::default();
    sql.push("SELECT r.id FROM runs r");
    sql.append(joins);
    sql.push(" WHERE r.experiment IN ");
    sql.bind_list(experiments);
    sql.push(match search.view {
        View::ActiveOnly => " AND r.deleted = 0",
        View::DeletedOnly => " AND r.deleted = 1",
        View::All => "",
    });
    if search.skip_quarantined {
        sql.push(" AND r.quarantine_reason IS NULL");
    }
    sql.append(conditions);
    sql.push(" ORDER BY ");
    sql.append(orders);
    sql.push(" LIMIT ");
    sql.bind(window.limit());
    sql.push(" OFFSET ");
    sql.bind(window.offset());
    Ok((Some(sql), window))
}

/// ` AND …` for each clause of a filter over `runs r`.
pub fn conditions(filter: &str) -> Result<Sql> {
    let mut sql = Sql::default();
    for clause in parse::filter(filter)? {
        sql.push(" AND ");
        sql.append(condition(&clause)?);
    }
    Ok(sql)
}

fn condition(clause: &Clause) -> Result<Sql> {
    let entity = entity(&clause.field)?;
    let is_null = matches!(clause.operator, Operator::IsNull | Operator::IsNotNull);
    if is_null && !matches!(entity, Entity::Param | Entity::Tag) {
        return Err(Error::invalid("IS NULL and IS NOT NULL are for params and tags"));
    }
    match entity {
        Entity::Attribute => attribute_condition(attribute(ATTRIBUTES, &clause.field.key)?, clause),
        Entity::Param => pair_condition("params", "run", "r.id", clause),
        Entity::Tag => pair_condition("tags", "run", "r.id", clause),
        Entity::Metric => {
            let mut sql = Sql::default();
            sql.push(
                "r.id IN (SELECT l.run FROM latest_metrics l
                 WHERE l.key = (SELECT id FROM metric_names WHERE name = ",
            );
            sql.bind(clause.field.key.clone());
            sql.push(") AND ");
            sql.append(number_condition("l.value", clause)?);
            sql.push(")");
            Ok(sql)
        }
        Entity::Dataset => {
            let mut sql = Sql::default();
            sql.push("EXISTS (SELECT 1 FROM inputs i JOIN datasets d ON d.id = i.dataset");
            let column = match clause.field.key.as_str() {
                "name" => "d.name",
                "digest" => "d.digest",
                "context" => {
                    sql.push(" JOIN input_tags t ON t.input = i.id AND t.key = ");
                    sql.bind(CONTEXT_TAG.to_string());
                    "t.value"
                }
                other => {
                    let other = validate::clip(other);
                    return Err(Error::invalid(format!(
                        "a dataset has name, digest and context, no '{other}'"
                    )));
                }
            };
            sql.push(" WHERE i.run = r.id AND ");
            sql.append(text_condition(column, clause)?);
            sql.push(")");
            Ok(sql)
        }
    }
}

/// Joins that bring what is ordered by, and the order itself with its ties.
fn orders(order: &[String], by_key: bool) -> Result<(Sql, Sql)> {
    if order.len() > ORDERS_MAX {
        return Err(Error::invalid(format!("a search has at most {ORDERS_MAX} orders, not {}", order.len())));
    }
    let (mut joins, mut sql) = (Sql::default(), Sql::default());
    let mut fields: Vec<Field> = Vec::new();
    let mut by_start = false;
    for (index, text) in order.iter().enumerate() {
        let (field, direction) = parse::order(text)?;
        let table = format!("o{index}");
        let mut join = |source: &str, key: &str| {
            let index = if by_key && source == "latest_metrics" { BY_KEY } else { "" };
            joins.push(&format!(
                " LEFT JOIN {source} {table}{index} ON {table}.run = r.id AND {table}.key = "
            ));
            match source {
                "latest_metrics" => {
                    joins.push("(SELECT id FROM metric_names WHERE name = ");
                    joins.bind(key.to_string());
                    joins.push(")");
                }
                _ => joins.bind(key.to_string()),
            }
        };
        match entity(&field)? {
            Entity::Attribute => {
                let attribute = attribute(ATTRIBUTES, &field.key)?;
                by_start |= attribute.column == "r.start_ms";
                order_by(&mut sql, attribute.column, direction);
            }
            Entity::Metric => {
                join("latest_metrics", &field.key);
                // Numbers first, then NaN, then runs without the metric, whichever the direction.
                let word = if direction == Direction::Ascending { "ASC" } else { "DESC" };
                sql.push(&format!("{table}.run IS NULL, {table}.value IS NULL, {table}.value {word}, "));
            }
            Entity::Param => {
                join("params", &field.key);
                order_by(&mut sql, &format!("{table}.value"), direction);
            }
            Entity::Tag => {
                join("tags", &field.key);
                order_by(&mut sql, &format!("{table}.value"), direction);
            }
            Entity::Dataset => return Err(Error::invalid("runs cannot be ordered by datasets")),
        }
        fields.push(field);
    }
    check_no_field_twice(&fields)?;
    sql.push(if by_start { "r.run_id" } else { "r.start_ms DESC, r.run_id" });
    Ok((joins, sql))
}
