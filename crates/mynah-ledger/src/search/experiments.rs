//! Searching experiments.

use super::compile::{
    Attribute, Entity, Kind, Sql, attribute, attribute_condition, check_no_field_twice, entity,
    no_such_entity, order_by, pair_condition,
};
use super::page;
use super::parse;
use super::runs::ORDERS_MAX;
use crate::db;
use crate::error::{Error, Result};
use crate::experiments;
use crate::ledger::Ledger;
use crate::types::{Experiment, Page, SearchExperiments, View};

const PAGE_MAX: usize = 50_000;

const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "name", column: "e.name", kind: Kind::Text },
    Attribute { name: "experiment_id", column: "e.id", kind: Kind::Id },
    Attribute { name: "creation_time", column: "e.created_ms", kind: Kind::Number },
    Attribute { name: "last_update_time", column: "e.updated_ms", kind: Kind::Number },
];

impl Ledger {
    /// Experiments that pass a filter, in order.
    ///
    /// # Errors
    /// `Invalid` for a filter, order or page that is not one.
    pub fn search_experiments(&self, search: &SearchExperiments) -> Result<Page<Experiment>> {
        let window = page::window(search.page_token.as_deref(), search.max_results, PAGE_MAX)?;
        let mut sql = Sql::default();
        sql.push(&format!("SELECT {} FROM experiments e WHERE ", experiments::COLUMNS));
        sql.push(match search.view {
            View::ActiveOnly => "e.deleted = 0",
            View::DeletedOnly => "e.deleted = 1",
            View::All => "1 = 1",
        });
        for clause in parse::filter(&search.filter)? {
            sql.push(" AND ");
            sql.append(match entity(&clause.field)? {
                Entity::Attribute => attribute_condition(attribute(ATTRIBUTES, &clause.field.key)?, &clause)?,
                Entity::Tag => pair_condition("experiment_tags", "experiment", "e.id", &clause)?,
                _ => return Err(no_such_entity(&clause.field, "attributes and tags")),
            });
        }
        sql.push(" ORDER BY ");
        orders(&mut sql, &search.order_by)?;
        sql.push(" LIMIT ");
        sql.bind(window.limit());
        sql.push(" OFFSET ");
        sql.bind(window.offset());
        self.read(|connection| {
            let mut select = connection.prepare_cached(&sql.text)?;
            let rows = select.query_map(&sql.values[..], experiments::from_row)?;
            let mut page = window.trim(rows.collect::<db::Result<Vec<_>>>()?);
            page.items.iter_mut().try_for_each(|experiment| experiments::add_tags(connection, experiment))?;
            Ok(page)
        })
    }
}

fn orders(sql: &mut Sql, order: &[String]) -> Result<()> {
    if order.is_empty() {
        sql.push("e.created_ms DESC, e.id ASC");
        return Ok(());
    }
    if order.len() > ORDERS_MAX {
        return Err(Error::invalid(format!("a search has at most {ORDERS_MAX} orders, not {}", order.len())));
    }
    let mut fields = Vec::new();
    for text in order {
        let (field, direction) = parse::order(text)?;
        if entity(&field)? != Entity::Attribute {
            return Err(no_such_entity(&field, "attributes to order by"));
        }
        order_by(sql, attribute(ATTRIBUTES, &field.key)?.column, direction);
        fields.push(field);
    }
    check_no_field_twice(&fields)?;
    sql.push("e.id DESC");
    Ok(())
}
