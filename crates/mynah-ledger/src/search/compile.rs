//! Clauses to SQL. Every value is bound; every name of a table or column comes from this program.

use super::{Clause, Direction, Field, Operator, Value};
use crate::db::Bound;
use crate::error::{Error, Result};
use crate::validate::clip;

/// A piece of SQL and the values of its question marks, in order.
#[derive(Clone, Debug, Default)]
pub struct Sql {
    /// The text.
    pub text: String,
    /// The values.
    pub values: Vec<Bound>,
}

impl Sql {
    /// Appends text without values.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends a question mark and its value.
    pub fn bind(&mut self, value: impl Into<Bound>) {
        self.text.push('?');
        self.values.push(value.into());
    }

    /// Appends a number of whatever kind, for a column of whatever kind of number.
    pub fn bind_number(&mut self, number: f64) {
        self.push("CAST(");
        self.bind(number);
        self.push(" AS DOUBLE PRECISION)");
    }

    /// Appends another piece.
    pub fn append(&mut self, other: Sql) {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
    }

    /// Appends `(?, ?, …)`.
    pub fn bind_list<T: Into<Bound>>(&mut self, values: impl IntoIterator<Item = T>) {
        self.push("(");
        for (index, value) in values.into_iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " });
            self.bind(value);
        }
        self.push(")");
    }
}

/// What kind of values a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compared with quoted texts.
    Text,
    /// Compared with numbers.
    Number,
    /// Compared with the decimal texts of a number.
    Id,
}

/// An attribute that can be searched and ordered by.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// As the user writes it.
    pub name: &'static str,
    /// Our column.
    pub column: &'static str,
    /// Its values.
    pub kind: Kind,
}

/// What an entity's name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entity {
    /// A column of the thing itself.
    Attribute,
    /// Its latest value.
    Metric,
    /// Written once.
    Param,
    /// Pinned on.
    Tag,
    /// That went in.
    Dataset,
}

/// The entity of a field.
pub fn entity(field: &Field) -> Result<Entity> {
    match field.entity.as_deref() {
        None | Some("attribute" | "attributes" | "attr" | "run") => Ok(Entity::Attribute),
        Some("metric" | "metrics") => Ok(Entity::Metric),
        Some("param" | "params" | "parameter" | "parameters") => Ok(Entity::Param),
        Some("tag" | "tags") => Ok(Entity::Tag),
        Some("dataset" | "datasets") => Ok(Entity::Dataset),
        Some(other) => Err(Error::invalid(format!(
            "'{}' is not one of metrics, params, tags, attributes, datasets",
            clip(other)
        ))),
    }
}

/// The attribute of that name.
pub fn attribute<'a>(attributes: &'a [Attribute], key: &str) -> Result<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name == key).ok_or_else(|| {
        let names: Vec<&str> = attributes.iter().map(|attribute| attribute.name).collect();
        Error::invalid(format!("there is no attribute '{}'; there are {}", clip(key), names.join(", ")))
    })
}

/// `column OPERATOR value` for an attribute.
pub fn attribute_condition(attribute: &Attribute, clause: &Clause) -> Result<Sql> {
    match attribute.kind {
        Kind::Text => text_condition(attribute.column, clause),
        Kind::Number => number_condition(attribute.column, clause),
        Kind::Id => id_condition(attribute.column, clause),
    }
}

/// A comparison of texts.
pub fn text_condition(column: &str, clause: &Clause) -> Result<Sql> {
    let mut sql = Sql::default();
    match (clause.operator, &clause.value) {
        (Operator::Like, Value::Text(text)) => like(&mut sql, column, text.clone()),
        (Operator::Equal | Operator::NotEqual, Value::Text(text)) => {
            sql.push(&format!("{column} {} ", clause.operator.as_str()));
            sql.bind(text.clone());
        }
        (Operator::ILike, Value::Text(text)) => {
            // As the databases do it: only the letters of ASCII have two cases.
            like(&mut sql, &format!("lower({column})"), text.to_ascii_lowercase());
        }
        (Operator::In | Operator::NotIn, Value::List(texts)) => {
            sql.push(&format!("{column} {} ", clause.operator.as_str()));
            sql.bind_list(texts.iter().cloned());
        }
        (_, Value::Number(_)) => {
            return Err(Error::invalid(format!(
                "'{}' is compared with a quoted text such as 'x', not with a number",
                clip(&clause.field.key)
            )));
        }
        _ => return Err(bad_operator(clause, "=, !=, LIKE, ILIKE, IN and NOT IN")),
    }
    Ok(sql)
}

/// `%` and `_` mean something, a backslash does not.
fn like(sql: &mut Sql, column: &str, pattern: String) {
    sql.push(&format!("{column} LIKE "));
    sql.bind(pattern);
    sql.push(" /*postgresql: ESCAPE '' */");
}

/// A comparison of numbers. A metric's NULL is NaN: unequal to everything, and in no order.
pub fn number_condition(column: &str, clause: &Clause) -> Result<Sql> {
    let operator = clause.operator;
    let Value::Number(number) = clause.value else {
        if matches!(clause.value, Value::Text(_)) {
            return Err(Error::invalid(format!(
                "'{}' is compared with a number without quotes",
                clip(&clause.field.key)
            )));
        }
        return Err(bad_operator(clause, "=, !=, >, >=, < and <="));
    };
    let mut sql = Sql::default();
    match operator {
        Operator::NotEqual => {
            sql.push(&format!("({column} != "));
            sql.bind_number(number);
            sql.push(&format!(" OR {column} IS NULL)"));
        }
        Operator::Equal
        | Operator::Greater
        | Operator::GreaterEqual
        | Operator::Less
        | Operator::LessEqual => {
            sql.push(&format!("{column} {} ", operator.as_str()));
            sql.bind_number(number);
        }
        _ => return Err(bad_operator(clause, "=, !=, >, >=, < and <=")),
    }
    Ok(sql)
}

/// A comparison of ids, which are numbers written as texts.
fn id_condition(column: &str, clause: &Clause) -> Result<Sql> {
    let mut sql = Sql::default();
    sql.push(&format!("{column} {} ", clause.operator.as_str()));
    match (clause.operator, &clause.value) {
        (Operator::Equal | Operator::NotEqual, Value::Text(text)) => {
            sql.bind(crate::validate::experiment_id(text)?)
        }
        (Operator::In | Operator::NotIn, Value::List(texts)) => {
            let ids =
                texts.iter().map(|text| crate::validate::experiment_id(text)).collect::<Result<Vec<_>>>()?;
            sql.bind_list(ids);
        }
        _ => return Err(bad_operator(clause, "=, !=, IN and NOT IN with quoted ids")),
    }
    Ok(sql)
}

/// A condition on a table of keys and values (`params`, `tags`, …): `owner` is the column that points to the
/// thing, `id` the thing.
pub fn pair_condition(table: &str, owner: &str, id: &str, clause: &Clause) -> Result<Sql> {
    let mut sql = Sql::default();
    if clause.operator == Operator::IsNull {
        sql.push("NOT ");
    }
    sql.push(&format!("EXISTS (SELECT 1 FROM {table} p WHERE p.{owner} = {id} AND p.key = "));
    sql.bind(clause.field.key.clone());
    if !matches!(clause.operator, Operator::IsNull | Operator::IsNotNull) {
        sql.push(" AND ");
        if matches!(clause.operator, Operator::In | Operator::NotIn) {
            return Err(bad_operator(clause, "=, !=, LIKE, ILIKE, IS NULL and IS NOT NULL"));
        }
        sql.append(text_condition("p.value", clause)?);
    }
    sql.push(")");
    Ok(sql)
}

/// `column ASC`, with what is absent at the end either way.
pub fn order_by(sql: &mut Sql, column: &str, direction: Direction) {
    let word = match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    };
    sql.push(&format!("{column} IS NULL, {column} {word}, "));
}

/// An entity that this search does not know.
pub fn no_such_entity(field: &Field, known: &str) -> Error {
    let entity = field.entity.as_deref().unwrap_or("attributes");
    Error::invalid(format!("'{}' cannot be searched here; there are {known}", clip(entity)))
}

/// A field twice in an order.
pub fn check_no_field_twice(fields: &[Field]) -> Result<()> {
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].contains(field) {
            return Err(Error::invalid(format!("the order names '{}' twice", clip(&field.key))));
        }
    }
    Ok(())
}

fn bad_operator(clause: &Clause, allowed: &str) -> Error {
    Error::invalid(format!(
        "'{}' cannot be compared with {}; there are {allowed}",
        clip(&clause.field.key),
        clause.operator.as_str()
    ))
}
