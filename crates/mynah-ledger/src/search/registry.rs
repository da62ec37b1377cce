//! Searching registered models and their versions.

use super::compile::{
    Attribute, Entity, Kind, Sql, attribute, attribute_condition, check_no_field_twice, entity,
    no_such_entity, order_by, pair_condition,
};
use super::page;
use super::parse::{self, Clause, Operator, Value};
use super::runs::ORDERS_MAX;
use crate::db;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::registry;
use crate::types::{ModelVersion, Page, RegisteredModel, SearchModels};

const MODELS_MAX: usize = 1_000;
const VERSIONS_MAX: usize = 200_000;

/// MLflow keeps prompts as registered models with this tag; a search without it leaves them out.
const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

const MODEL_ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "name", column: "m.name", kind: Kind::Text },
    Attribute { name: "timestamp", column: "m.updated_ms", kind: Kind::Number },
    Attribute { name: "last_updated_timestamp", column: "m.updated_ms", kind: Kind::Number },
    Attribute { name: "creation_timestamp", column: "m.created_ms", kind: Kind::Number },
];

const VERSION_ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "name", column: "m.name", kind: Kind::Text },
    Attribute { name: "version_number", column: "v.version", kind: Kind::Number },
    Attribute { name: "run_id", column: "v.run_id", kind: Kind::Text },
    Attribute { name: "source_path", column: "v.source", kind: Kind::Text },
    Attribute { name: "creation_timestamp", column: "v.created_ms", kind: Kind::Number },
    Attribute { name: "last_updated_timestamp", column: "v.updated_ms", kind: Kind::Number },
];

impl Ledger {
    /// Registered models that pass a filter, in order.
    ///
    /// # Errors
    /// `Invalid` for a filter, order or page that is not one.
    pub fn search_registered_models(&self, search: &SearchModels) -> Result<Page<RegisteredModel>> {
        let window = page::window(search.page_token.as_deref(), search.max_results, MODELS_MAX)?;
        let mut sql = Sql::default();
        sql.push(
            "SELECT m.id, m.name, m.created_ms, m.updated_ms, m.description FROM registered_models m WHERE 1 = 1",
        );
        let tags = ("registered_model_tags", "model", "m.id");
        conditions(&mut sql, &search.filter, MODEL_ATTRIBUTES, tags, PROMPTS_AMONG_MODELS)?;
        sql.push(" ORDER BY ");
        orders(&mut sql, &search.order_by, MODEL_ATTRIBUTES)?;
        sql.push("m.name LIMIT ");
        sql.bind(window.limit());
        sql.push(" OFFSET ");
        sql.bind(window.offset());
        self.read(|connection| {
            let mut select = connection.prepare_cached(&sql.text)?;
            let rows = select.query_map(&sql.values[..], registry::model_from_row)?;
            let page = window.trim(rows.collect::<db::Result<Vec<_>>>()?);
            let mut items = Vec::with_capacity(page.items.len());
            for (id, mut model) in page.items {
                registry::add_model_parts(connection, id, &mut model)?;
                items.push(model);
            }
            Ok(Page { items, next_page_token: page.next_page_token })
        })
    }

    /// Model versions that pass a filter, in order.
    ///
    /// # Errors
    /// `Invalid` for a filter, order or page that is not one.
    pub fn search_model_versions(&self, search: &SearchModels) -> Result<Page<ModelVersion>> {
        let window = page::window(search.page_token.as_deref(), search.max_results, VERSIONS_MAX)?;
        let mut sql = Sql::default();
        sql.push(&format!(
            "SELECT {} FROM model_versions v JOIN registered_models m ON m.id = v.model WHERE v.deleted = 0",
            registry::VERSION_COLUMNS
        ));
        let tags = ("model_version_tags", "version", "v.id");
        conditions(&mut sql, &search.filter, VERSION_ATTRIBUTES, tags, PROMPTS_AMONG_VERSIONS)?;
        sql.push(" ORDER BY ");
        if search.order_by.is_empty() {
            sql.push("v.updated_ms DESC, ");
        }
        orders(&mut sql, &search.order_by, VERSION_ATTRIBUTES)?;
        sql.push("m.name, v.version DESC LIMIT ");
        sql.bind(window.limit());
        sql.push(" OFFSET ");
        sql.bind(window.offset());
        self.read(|connection| {
            let mut select = connection.prepare_cached(&sql.text)?;
            let rows = select.query_map(&sql.values[..], registry::version_from_row)?;
            let page = window.trim(rows.collect::<db::Result<Vec<_>>>()?);
            let mut items = Vec::with_capacity(page.items.len());
            for (id, mut version) in page.items {
                registry::add_version_parts(connection, id, &mut version)?;
                items.push(version);
            }
            Ok(Page { items, next_page_token: page.next_page_token })
        })
    }
}

const PROMPTS_AMONG_MODELS: &str =
    " AND m.id NOT IN (SELECT model FROM registered_model_tags WHERE value = 'true' AND key = ";
const PROMPTS_AMONG_VERSIONS: &str = " AND v.model NOT IN (SELECT w.model FROM model_version_tags t
     JOIN model_versions w ON w.id = t.version WHERE t.value = 'true' AND t.key = ";

fn conditions(
    sql: &mut Sql,
    filter: &str,
    attributes: &[Attribute],
    (table, owner, id): (&str, &str, &str),
    without_prompts: &str,
) -> Result<()> {
    let clauses = parse::filter(filter)?;
    let asks_for_prompts = clauses.iter().find(|clause| is_about_prompts(clause)).is_some_and(|clause| {
        let Value::Text(value) = &clause.value else { return false };
        match clause.operator {
            Operator::Equal => value.eq_ignore_ascii_case("true"),
            Operator::NotEqual => value.eq_ignore_ascii_case("false"),
            _ => false,
        }
    });
    if !asks_for_prompts {
        sql.push(without_prompts);
        sql.bind(PROMPT_TAG.to_string());
        sql.push(")");
    }
    for clause in clauses.iter().filter(|clause| asks_for_prompts || !is_about_prompts(clause)) {
        sql.push(" AND ");
        sql.append(match entity(&clause.field)? {
            Entity::Attribute => attribute_condition(attribute(attributes, &clause.field.key)?, clause)?,
            Entity::Tag => pair_condition(table, owner, id, clause)?,
            _ => return Err(no_such_entity(&clause.field, "attributes and tags")),
        });
    }
    Ok(())
}

fn is_about_prompts(clause: &Clause) -> bool {
    clause.field.key == PROMPT_TAG && entity(&clause.field).is_ok_and(|entity| entity == Entity::Tag)
}

fn orders(sql: &mut Sql, order: &[String], attributes: &[Attribute]) -> Result<()> {
    if order.len() > ORDERS_MAX {
        return Err(Error::invalid(format!("a search has at most {ORDERS_MAX} orders, not {}", order.len())));
    }
    let mut fields = Vec::new();
    for text in order {
        let (field, direction) = parse::order(text)?;
        if entity(&field)? != Entity::Attribute {
            return Err(no_such_entity(&field, "attributes to order by"));
        }
        order_by(sql, attribute(attributes, &field.key)?.column, direction);
        fields.push(field);
    }
    check_no_field_twice(&fields)
}
