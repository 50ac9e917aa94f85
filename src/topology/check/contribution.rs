//! An aggregate's inputs, and the columns of its contributions: the event's fields plus `set`.

use super::super::checked::{
    ColumnIndex, Condition, ContributionColumn, Expression, Field, FieldIndex, FieldType, Input, Scalar,
};
use super::super::names::COLUMN;
use super::condition::condition;
use super::fields::{Fields, scalar_name, type_name};
use crate::yaml::{Kind, Name, Node, Place, Problems, read, shorten};
use std::collections::BTreeMap;

const INPUTS_MAX: usize = 32;
const SCALE_MAX: u8 = 18;

/// What contributions are made of, and the columns that somebody has asked for so far.
pub(crate) struct Contributions<'a> {
    fields: &'a Fields,
    inputs: Vec<DraftInput>,
    columns: Vec<(ContributionColumn, Vec<Option<Expression>>)>,
    by_name: BTreeMap<String, ColumnIndex>,
}

struct DraftInput {
    when: Condition,
    each: Option<FieldIndex>,
    /// `None`: it is a problem already.
    set: BTreeMap<String, Option<(Expression, Scalar)>>,
}

impl<'a> Contributions<'a> {
    /// Without a node: one input, all events.
    pub(crate) fn read(fields: &'a Fields, node: Option<&Node>, problems: &mut Problems) -> Self {
        let all = || DraftInput { when: Condition::default(), each: None, set: BTreeMap::new() };
        let inputs = match node.map(|node| (&node.kind, node.place)) {
            None => vec![all()],
            Some((Kind::List(items), _)) if (1..=INPUTS_MAX).contains(&items.len()) => {
                items.iter().map(|item| input(item, fields, problems).unwrap_or_else(all)).collect()
            }
            Some((_, at)) => {
                let what = format!("a list of 1 to {INPUTS_MAX} inputs with `when`, `each` and `set`");
                problems.add(at, format!("`inputs` should be {what}"));
                vec![all()]
            }
        };
        Contributions { fields, inputs, columns: Vec::new(), by_name: BTreeMap::new() }
    }

    /// The column of a name, made when it is first asked for. It has one type over all inputs.
    pub(crate) fn column(
        &mut self,
        name: Name<'_>,
        problems: &mut Problems,
    ) -> Option<(ColumnIndex, Scalar)> {
        if let Some(&index) = self.by_name.get(name.text) {
            return Some((index, self.columns[index].0.scalar));
        }
        let mut sources = Vec::new();
        let mut types: Vec<Scalar> = Vec::new();
        let mut shape = None;
        for input in &self.inputs {
            let source = match input.set.get(name.text) {
                Some(set) => Some(set.clone()?),
                None => match self.fields.index(name.text) {
                    Some(index) if !self.fields.is_sound(index) => return None,
                    Some(index) => match &self.fields.list[index].ty {
                        FieldType::Scalar(scalar) => Some((Expression::Field(index), *scalar)),
                        other => {
                            shape = Some(type_name(other));
                            None
                        }
                    },
                    None => None,
                },
            };
            types.extend(source.as_ref().map(|(_, scalar)| plain(*scalar)));
            sources.push(source.map(|(expression, _)| expression));
        }
        let Some(&scalar) = types.first() else {
            return {
                let message = self.unknown(name.text, shape, problems);
                problems.none(name.place, message)
            };
        };
        if let Some(other) = types.iter().find(|other| **other != scalar) {
            let (one, other) = (scalar_name(scalar), scalar_name(*other));
            let message = format!(
                "`{}` is {one} in one input and {other} in another: it should have one type",
                name.text
            );
            return problems.none(name.place, message);
        }
        let index = self.columns.len();
        self.columns.push((ContributionColumn { name: name.text.into(), scalar }, sources));
        self.by_name.insert(name.text.into(), index);
        Some((index, scalar))
    }

    fn unknown(&self, name: &str, shape: Option<String>, problems: &Problems) -> String {
        if let Some(shape) = shape {
            return format!("`{name}` is {shape}; take its elements with `each`, and name them with `set`");
        }
        let set = self.inputs.iter().flat_map(|input| input.set.keys());
        let near = problems.did_you_mean(
            name,
            set.chain(self.fields.list.iter().map(|field| &field.name)).map(String::as_str),
        );
        format!("`{}` is neither a field of the events nor a name under `set`{near}", shorten(name))
    }

    pub(crate) fn finish(self) -> (Vec<ContributionColumn>, Vec<Input>) {
        let mut inputs: Vec<Input> = self
            .inputs
            .into_iter()
            .map(|input| Input { when: input.when, each: input.each, sources: Vec::new() })
            .collect();
        let mut columns = Vec::new();
        for (column, sources) in self.columns {
            columns.push(column);
            for (input, source) in inputs.iter_mut().zip(sources) {
                input.sources.push(source);
            }
        }
        (columns, inputs)
    }
}

/// How a value was read (`round`, `minor`) is no part of a column's type.
fn plain(scalar: Scalar) -> Scalar {
    match scalar {
        Scalar::Decimal { scale, .. } => Scalar::Decimal { scale, round: false, minor: false },
        other => other,
    }
}

fn input(node: &Node, fields: &Fields, problems: &mut Problems) -> Option<DraftInput> {
    let members =
        read::closed(node, "an input with `when`, `each` and `set`", &["when", "each", "set"], problems)?;
    let when = members.get("when").map_or(Some(Condition::default()), |node| {
        condition(node, &mut |name, problems| fields.find_scalar(name, problems), problems)
    });
    let each = members.get("each").map(|node| each(node, fields, problems));
    let mut set = BTreeMap::new();
    if let Some(node) = members.get("set") {
        for member in read::map(node, "a map of names and expressions", problems)? {
            COLUMN.check(&member.key, member.place, problems);
            let scope = Scope { fields, each };
            set.insert(member.key.clone(), scope.expression(&member.value, problems));
        }
    }
    // A broken part is a problem already; the rest still gives its names.
    Some(DraftInput { when: when.unwrap_or_default(), each: each.flatten(), set })
}

fn each(node: &Node, fields: &Fields, problems: &mut Problems) -> Option<FieldIndex> {
    let name = read::scalar(node, "the name of a list or map field", problems)?;
    let index = fields.find(name, problems)?;
    match &fields.list[index].ty {
        FieldType::Scalar(scalar) => {
            let message =
                format!("`{}` is {}; `each` takes a list or a map", name.text, scalar_name(*scalar));
            problems.none(name.place, message)
        }
        FieldType::ListOfStruct(_) | FieldType::ListOfScalar(_) | FieldType::Map(_) => Some(index),
    }
}

/// What an expression of one input may name.
#[derive(Clone, Copy)]
struct Scope<'a> {
    fields: &'a Fields,
    /// `Some(None)`: there is one, but it is a problem.
    each: Option<Option<FieldIndex>>,
}

impl Scope<'_> {
    fn expression(self, node: &Node, problems: &mut Problems) -> Option<(Expression, Scalar)> {
        match &node.kind {
            Kind::Scalar(text) => self.name(Name { text, place: node.place }, problems),
            _ => {
                let what = "a name, `$item.<field>`, `$key`, `$value`, `$index` or `{ multiply: [a, b] }`";
                let members = read::closed(node, what, &["multiply"], problems)?;
                let product =
                    members.need("multiply", "the one thing that can be computed here", problems)?;
                self.product(product, problems)
            }
        }
    }

    fn product(self, node: &Node, problems: &mut Problems) -> Option<(Expression, Scalar)> {
        let Kind::List(items) = &node.kind else {
            return problems.none(node.place, "`multiply` takes a list of two expressions");
        };
        let [left, right] = &items[..] else {
            return problems
                .none(node.place, format!("`multiply` takes two expressions; here are {}", items.len()));
        };
        let (left, left_scale) = self.factor(left, problems).unzip();
        let (right, right_scale) = self.factor(right, problems).unzip();
        let scale = left_scale? + right_scale?;
        if scale > SCALE_MAX {
            let message =
                format!("the product would have {scale} digits behind the point; at most {SCALE_MAX} fit");
            return problems.none(node.place, message);
        }
        let scalar = match scale {
            0 => Scalar::Int,
            _ => Scalar::Decimal { scale, round: false, minor: false },
        };
        Some((Expression::Multiply(Box::new(left?), Box::new(right?)), scalar))
    }

    fn factor(self, node: &Node, problems: &mut Problems) -> Option<(Expression, u8)> {
        let (expression, scalar) = self.expression(node, problems)?;
        match scalar.scale() {
            Some(scale) => Some((expression, scale)),
            None => problems.none(
                node.place,
                format!("`multiply` takes int and decimal; this is {}", scalar_name(scalar)),
            ),
        }
    }

    fn name(self, name: Name<'_>, problems: &mut Problems) -> Option<(Expression, Scalar)> {
        let Some(special) = name.text.strip_prefix('$') else {
            let (index, scalar) = self.fields.find_scalar(name, problems)?;
            return Some((Expression::Field(index), scalar));
        };
        let Some(each) = self.each else {
            return problems
                .none(name.place, format!("`{}` needs `each` in the same input", shorten(name.text)));
        };
        let each = &self.fields.list[each?];
        match (special, &each.ty) {
            ("key", FieldType::Map(_)) => Some((Expression::MapKey, Scalar::Text)),
            ("value", FieldType::Map(scalar)) => Some((Expression::MapValue, *scalar)),
            ("index", FieldType::ListOfStruct(_) | FieldType::ListOfScalar(_)) => {
                Some((Expression::Index, Scalar::Int))
            }
            ("item", FieldType::ListOfScalar(scalar)) => Some((Expression::Item(0), *scalar)),
            (_, FieldType::ListOfStruct(items)) => match special.strip_prefix("item.") {
                Some(member) => item(items, member, name.place, problems),
                None => problems.none(name.place, misfit(name.text, &each.ty)),
            },
            (_, ty) => problems.none(name.place, misfit(name.text, ty)),
        }
    }
}

fn item(items: &[Field], member: &str, at: Place, problems: &mut Problems) -> Option<(Expression, Scalar)> {
    let found = items.iter().enumerate().find(|(_, item)| item.name == member);
    match found {
        Some((index, field)) => match field.ty {
            FieldType::Scalar(scalar) => Some((Expression::Item(index), scalar)),
            FieldType::ListOfStruct(_) | FieldType::ListOfScalar(_) | FieldType::Map(_) => {
                unreachable!("only scalars are let into a list's items")
            }
        },
        None => {
            let near = problems.did_you_mean(member, items.iter().map(|item| item.name.as_str()));
            problems.none(at, format!("`{}` is no field of the list's items{near}", shorten(member)))
        }
    }
}

fn misfit(name: &str, ty: &FieldType) -> String {
    let fitting: &[&str] = match ty {
        FieldType::Map(_) => &["$key", "$value"],
        FieldType::ListOfScalar(_) => &["$item", "$index"],
        FieldType::ListOfStruct(_) | FieldType::Scalar(_) => &["$item.<field>", "$index"],
    };
    format!("`{}` does not fit {}; there are {}", shorten(name), type_name(ty), read::listed(fitting))
}
