//! Searching logged models.

use super::compile::{
    Attribute, Entity, Kind, Sql, attribute, attribute_condition, entity, no_such_entity, number_condition,
    order_by, pair_condition,
};
use super::page;
use super::parse::{self, Clause, Direction, Field, Value};
use super::runs::ORDERS_MAX;
use crate::db;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::types::{DatasetFilter, LoggedModel, LoggedModelStatus, ModelOrder, Page, SearchLoggedModels};
use crate::{models, validate};

const PAGE_MAX: usize = 50_000;
const DATASETS_MAX: usize = 100;

const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "name", column: "m.name", kind: Kind::Text },
    Attribute { name: "model_id", column: "m.model_id", kind: Kind::Text },
    Attribute { name: "model_type", column: "m.model_type", kind: Kind::Text },
    Attribute { name: "status", column: "m.status", kind: Kind::Id },
    Attribute { name: "source_run_id", column: "m.source_run_id", kind: Kind::Text },
    Attribute { name: "artifact_location", column: "m.artifact_location", kind: Kind::Text },
    Attribute { name: "experiment_id", column: "m.experiment", kind: Kind::Id },
    Attribute { name: "creation_time", column: "m.created_ms", kind: Kind::Number },
    Attribute { name: "creation_timestamp", column: "m.created_ms", kind: Kind::Number },
    Attribute { name: "creation_timestamp_ms", column: "m.created_ms", kind: Kind::Number },
    Attribute { name: "last_updated_timestamp", column: "m.updated_ms", kind: Kind::Number },
    Attribute { name: "last_updated_timestamp_ms", column: "m.updated_ms", kind: Kind::Number },
];

impl Ledger {
    /// Active logged models that pass a filter, in order.
    ///
    /// # Errors
    /// `Invalid` for a filter, order, dataset or page that is not one.
    pub fn search_logged_models(&self, search: &SearchLoggedModels) -> Result<Page<LoggedModel>> {
        let window = page::window(search.page_token.as_deref(), search.max_results, PAGE_MAX)?;
        let experiments = validate::experiment_ids(&search.experiment_ids)?;
        let conditions = conditions(search)?;
        let (joins, orders) = orders(&search.order_by)?;
        let mut sql = Sql::default();
        sql.push(&format!("SELECT {} FROM logged_models m", models::COLUMNS));
        sql.append(joins);
        sql.push(" WHERE m.deleted = 0 AND m.experiment IN ");
        sql.bind_list(experiments);
        sql.append(conditions);
        sql.push(" ORDER BY ");
        sql.append(orders);
        sql.push(" LIMIT ");
        sql.bind(window.limit());
        sql.push(" OFFSET ");
        sql.bind(window.offset());
        self.read(|connection| {
            let mut select = connection.prepare_cached(&sql.text)?;
            let rows = select.query_map(&sql.values[..], models::from_row)?;
            let page = window.trim(rows.collect::<db::Result<Vec<_>>>()?);
            let mut items = Vec::with_capacity(page.items.len());
            for (key, mut model) in page.items {
                models::add_parts(connection, key, &mut model)?;
                items.push(model);
            }
            Ok(Page { items, next_page_token: page.next_page_token })
        })
    }
}

fn conditions(search: &SearchLoggedModels) -> Result<Sql> {
    let mut sql = Sql::default();
    let mut on_metric = false;
    for mut clause in parse::filter(&search.filter)? {
        sql.push(" AND ");
        match entity(&clause.field)? {
            Entity::Attribute => {
                let attribute = attribute(ATTRIBUTES, &clause.field.key)?;
                if attribute.name == "status" {
                    status_numbers(&mut clause)?;
                }
                sql.append(attribute_condition(attribute, &clause)?);
            }
            Entity::Param => sql.append(pair_condition("logged_model_params", "model", "m.id", &clause)?),
            Entity::Tag => sql.append(pair_condition("logged_model_tags", "model", "m.id", &clause)?),
            Entity::Metric => {
                on_metric = true;
                sql.push("m.id IN (SELECT v.model FROM logged_model_metrics v WHERE v.key = ");
                sql.bind(clause.field.key.clone());
                sql.push(" AND ");
                sql.append(number_condition("v.value", &clause)?);
                sql.append(on_datasets(&search.datasets)?);
                sql.push(")");
            }
            Entity::Dataset => {
                return Err(no_such_entity(&clause.field, "attributes, params, tags and metrics"));
            }
        }
    }
    if !search.datasets.is_empty() && !on_metric {
        sql.push(" AND m.id IN (SELECT v.model FROM logged_model_metrics v WHERE 1 = 1");
        sql.append(on_datasets(&search.datasets)?);
        sql.push(")");
    }
    Ok(sql)
}

/// ` AND (dataset or dataset …)` for the metrics `v`.
fn on_datasets(datasets: &[DatasetFilter]) -> Result<Sql> {
    let mut sql = Sql::default();
    if datasets.len() > DATASETS_MAX {
        return Err(Error::invalid(format!(
            "a search has at most {DATASETS_MAX} datasets, not {}",
            datasets.len()
        )));
    }
    for (index, dataset) in datasets.iter().enumerate() {
        if dataset.name.is_empty() {
            return Err(Error::invalid("a dataset of a search needs its name"));
        }
        sql.push(if index == 0 { " AND ((" } else { " OR (" });
        sql.push("v.dataset_name = ");
        sql.bind(dataset.name.clone());
        if let Some(digest) = &dataset.digest {
            sql.push(" AND v.dataset_digest = ");
            sql.bind(digest.clone());
        }
        sql.push(")");
    }
    if !datasets.is_empty() {
        sql.push(")");
    }
    Ok(sql)
}

/// The store keeps a status as a number; users write its word.
fn status_numbers(clause: &mut Clause) -> Result<()> {
    let number = |text: &String| {
        let status = LoggedModelStatus::parse(text).ok_or_else(|| {
            Error::invalid(format!("'{}' is not a status of a logged model", validate::clip(text)))
        })?;
        Ok(models::number(status).to_string())
    };
    match &mut clause.value {
        Value::Text(text) => *text = number(text)?,
        Value::List(texts) => *texts = texts.iter().map(number).collect::<Result<_>>()?,
        Value::Number(_) | Value::Nothing => {}
    }
    Ok(())
}

fn orders(order: &[ModelOrder]) -> Result<(Sql, Sql)> {
    if order.len() > ORDERS_MAX {
        return Err(Error::invalid(format!("a search has at most {ORDERS_MAX} orders, not {}", order.len())));
    }
    let (mut joins, mut sql) = (Sql::default(), Sql::default());
    let mut by_created = false;
    for (index, order) in order.iter().enumerate() {
        let (field, _) = parse::order(&order.field)?;
        let direction = if order.ascending { Direction::Ascending } else { Direction::Descending };
        match entity(&field)? {
            Entity::Attribute => {
                let attribute = attribute(ATTRIBUTES, &field.key)?;
                by_created |= attribute.column == "m.created_ms";
                order_by(&mut sql, attribute.column, direction);
            }
            Entity::Metric => {
                metric_order(&mut joins, &field, order, index)?;
                order_by(&mut sql, &format!("o{index}.value"), direction);
            }
            _ => return Err(no_such_entity(&field, "attributes and metrics to order by")),
        }
    }
    sql.push(if by_created { "m.model_id" } else { "m.created_ms DESC, m.model_id" });
    Ok((joins, sql))
}

/// The newest value of the metric of each model.
fn metric_order(joins: &mut Sql, field: &Field, order: &ModelOrder, index: usize) -> Result<()> {
    joins.push(
        " LEFT JOIN (SELECT v.model, v.value, row_number() OVER (PARTITION BY v.model
             ORDER BY v.timestamp_ms DESC, v.step DESC, v.run_id, v.id) AS place
             FROM logged_model_metrics v WHERE v.key = ",
    );
    joins.bind(field.key.clone());
    if let Some(dataset) = &order.dataset {
        joins.append(on_datasets(std::slice::from_ref(dataset))?);
    }
    joins.push(&format!(") o{index} ON o{index}.model = m.id AND o{index}.place = 1"));
    Ok(())
}
