//! `events.fields`: names, types and where in the event they are found.

use super::super::checked::{Field, FieldIndex, FieldType, Scalar};
use super::super::names::COLUMN;
use crate::yaml::{Kind, Member, Name, Node, Place, Problems, read, shorten};
use std::collections::BTreeMap;

const FIELDS_MAX: usize = 500;
const PATH_MAX: usize = 16;
const SCALARS: [&str; 9] = ["text", "uuid", "int", "decimal(2)", "double", "bool", "time", "date", "json"];
/// What other languages call our types.
const FOREIGN: [(&str, &str); 16] = [
    ("string", "text"),
    ("varchar", "text"),
    ("str", "text"),
    ("integer", "int"),
    ("bigint", "int"),
    ("long", "int"),
    ("int64", "int"),
    ("number", "decimal(2)"),
    ("decimal", "decimal(2)"),
    ("float", "double"),
    ("boolean", "bool"),
    ("timestamp", "time"),
    ("datetime", "time"),
    ("object", "json"),
    ("list", "list: TYPE"),
    ("map", "map: TYPE"),
];
const PARTS_OF_TIME: [&str; 4] = ["year", "month", "day", "hour"];
/// Columns that the generated SQL computes from the path.
const COMPUTED: [&str; 4] = ["hour_start", "day_start", "month_start", "year_start"];

/// The declared fields. One whose type could not be read keeps its name, so that nothing that names
/// it becomes a second problem.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) list: Vec<Field>,
    places: Vec<Place>,
    sound: Vec<bool>,
    by_name: BTreeMap<String, FieldIndex>,
}

impl Fields {
    pub(crate) fn read(node: &Node, problems: &mut Problems) -> Fields {
        let mut fields = Fields::default();
        let Some(members) = read::map(node, "a map of field names and types", problems) else {
            return fields;
        };
        if members.is_empty() || members.len() > FIELDS_MAX {
            let message = format!("{} fields; a topology has from 1 to {FIELDS_MAX}", members.len());
            problems.add(node.place, message);
        }
        for member in members {
            COLUMN.check(&member.key, member.place, problems);
            let field = field(member, true, problems);
            fields.sound.push(field.is_some());
            fields.by_name.insert(member.key.clone(), fields.list.len());
            fields.places.push(member.place);
            fields.list.push(field.unwrap_or_else(|| stand_in(&member.key)));
        }
        check_paths(&fields.list, &fields.places, &fields.sound, problems);
        fields
    }

    pub(crate) fn index(&self, name: &str) -> Option<FieldIndex> {
        self.by_name.get(name).copied()
    }

    /// A field by its name, whatever its type. No problem about one that is a problem already.
    pub(crate) fn find(&self, name: Name<'_>, problems: &mut Problems) -> Option<FieldIndex> {
        match self.index(name.text) {
            Some(index) => self.sound[index].then_some(index),
            None => {
                let message = self.unknown(name.text, problems);
                problems.none(name.place, message)
            }
        }
    }

    fn unknown(&self, name: &str, problems: &Problems) -> String {
        let near = problems.did_you_mean(name, self.by_name.keys().map(String::as_str));
        format!("`{}` is no field of the events{near}", shorten(name))
    }

    /// A field that holds one value.
    pub(crate) fn find_scalar(
        &self,
        name: Name<'_>,
        problems: &mut Problems,
    ) -> Option<(FieldIndex, Scalar)> {
        let index = self.find(name, problems)?;
        match &self.list[index].ty {
            FieldType::Scalar(scalar) => Some((index, *scalar)),
            other => {
                let message =
                    format!("`{}` is {}; a field with one value is meant", name.text, type_name(other));
                problems.none(name.place, message)
            }
        }
    }

    pub(crate) fn is_sound(&self, index: FieldIndex) -> bool {
        self.sound[index]
    }

    /// Id, tenant and category are in every event.
    pub(crate) fn require(&mut self, index: FieldIndex) {
        self.list[index].required = true;
    }

    /// A lake file must not repeat a column of its path, unless it is the very same thing. Of a tenant
    /// or category that could not be read nothing is known.
    pub(crate) fn check_reserved(
        &self,
        tenant: Option<FieldIndex>,
        category: Option<Option<FieldIndex>>,
        problems: &mut Problems,
    ) {
        let mut reserve = |name: &str, why: &str| {
            if let Some(index) = self.index(name) {
                problems.add(self.places[index], format!("`{name}` is {why}"));
            }
        };
        for name in PARTS_OF_TIME {
            reserve(name, "a partition column of the lake: name the field otherwise, and say `from`");
        }
        for name in COMPUTED {
            reserve(name, "a computed column of the lake's views: name the field otherwise, and say `from`");
        }
        if tenant.is_some_and(|tenant| self.index("tenant_id") != Some(tenant)) {
            reserve("tenant_id", "a partition column of the lake: only the tenant may have its name");
        }
        if category.is_some_and(|category| self.index("category") != category) {
            reserve("category", "a partition column of the lake: only the category may have its name");
        }
    }
}

/// How problems and descriptions call a type.
pub(crate) fn type_name(ty: &FieldType) -> String {
    match ty {
        FieldType::Scalar(scalar) => scalar_name(*scalar),
        FieldType::ListOfStruct(_) => "a list of items with fields".into(),
        FieldType::ListOfScalar(scalar) => format!("a list of {}", scalar_name(*scalar)),
        FieldType::Map(scalar) => format!("a map of {}", scalar_name(*scalar)),
    }
}

/// As topologies spell it, without `round` and `minor`.
pub(crate) fn scalar_name(scalar: Scalar) -> String {
    match scalar {
        Scalar::Text => "text".into(),
        Scalar::Uuid => "uuid".into(),
        Scalar::Int => "int".into(),
        Scalar::Decimal { scale, .. } => format!("decimal({scale})"),
        Scalar::Double => "double".into(),
        Scalar::Bool => "bool".into(),
        Scalar::Time => "time".into(),
        Scalar::Date => "date".into(),
        Scalar::Json => "json".into(),
    }
}

fn stand_in(name: &str) -> Field {
    let path = vec![name.to_string()];
    Field { name: name.into(), path, required: false, ty: FieldType::Scalar(Scalar::Json) }
}

/// One FIELD. Inside a list's items only scalars: a Parquet file and a block hold one level.
fn field(member: &Member, top: bool, problems: &mut Problems) -> Option<Field> {
    let own_path = || vec![member.key.clone()];
    if let Kind::Scalar(text) = &member.value.kind {
        let scalar = scalar_type(Name { text, place: member.value.place }, problems)?;
        let ty = FieldType::Scalar(scalar);
        return Some(Field { name: member.key.clone(), path: own_path(), required: false, ty });
    }
    let known = ["type", "list", "map", "from", "required", "round", "minor"];
    let members = read::closed(&member.value, "a type, or a map with `type`", &known, problems)?;
    let kinds: Vec<&str> =
        ["type", "list", "map"].into_iter().filter(|key| members.get(key).is_some()).collect();
    let ty = match kinds[..] {
        ["type"] => members.get("type").and_then(|node| one_scalar(node, problems)).map(FieldType::Scalar),
        ["list" | "map"] if !top => {
            let message = "an item's field holds one value; `json` keeps the text of anything else";
            problems.none(member.value.place, message)
        }
        ["list"] => members.get("list").and_then(|node| list_type(node, problems)),
        ["map"] => members.get("map").and_then(|node| one_scalar(node, problems)).map(FieldType::Map),
        [] => problems.none(member.value.place, "`type` is missing: or one of `list` and `map`"),
        _ => problems.none(member.value.place, "one of `type`, `list` and `map` is enough"),
    };
    let path = members.get("from").map_or(Some(own_path()), |node| path(node, problems));
    let required = members.get("required").map_or(Some(false), |node| read::boolean(node, problems));
    let mut ty = ty;
    for (key, is_minor) in [("round", false), ("minor", true)] {
        let Some(node) = members.get(key) else { continue };
        let on = read::boolean(node, problems)?;
        match ty.as_mut()? {
            FieldType::Scalar(Scalar::Decimal { round, minor, .. })
            | FieldType::ListOfScalar(Scalar::Decimal { round, minor, .. })
            | FieldType::Map(Scalar::Decimal { round, minor, .. }) => {
                *(if is_minor { minor } else { round }) = on
            }
            other => {
                let message = format!("`{key}` is for decimals; this is {}", type_name(other));
                return problems.none(node.place, message);
            }
        }
    }
    Some(Field { name: member.key.clone(), path: path?, required: required?, ty: ty? })
}

fn list_type(node: &Node, problems: &mut Problems) -> Option<FieldType> {
    if let Kind::Scalar(_) = node.kind {
        return one_scalar(node, problems).map(FieldType::ListOfScalar);
    }
    let members = read::map(node, "a type, or a map of the items' fields", problems)?;
    if members.is_empty() || members.len() > FIELDS_MAX {
        return problems
            .none(node.place, format!("{} fields; an item has from 1 to {FIELDS_MAX}", members.len()));
    }
    let mut places = Vec::new();
    let mut items = Vec::new();
    for member in members {
        let named = COLUMN.check(&member.key, member.place, problems);
        if let Some(field) = field(member, false, problems).filter(|_| named) {
            places.push(member.place);
            items.push(field);
        }
    }
    check_paths(&items, &places, &vec![true; items.len()], problems);
    // One that could not be read is a problem already, but then the others' places are not theirs.
    (items.len() == members.len()).then_some(FieldType::ListOfStruct(items))
}

fn one_scalar(node: &Node, problems: &mut Problems) -> Option<Scalar> {
    let name = read::scalar(node, &format!("a type: one of {}", read::listed(&SCALARS)), problems)?;
    scalar_type(name, problems)
}

fn scalar_type(name: Name<'_>, problems: &mut Problems) -> Option<Scalar> {
    let scalar = match name.text {
        "text" => Scalar::Text,
        "uuid" => Scalar::Uuid,
        "int" => Scalar::Int,
        "double" => Scalar::Double,
        "bool" => Scalar::Bool,
        "time" => Scalar::Time,
        "date" => Scalar::Date,
        "json" => Scalar::Json,
        text => {
            if let Some(scale) = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
                return decimal(scale, name.place, problems);
            }
            let foreign = FOREIGN.iter().find(|(foreign, _)| text.eq_ignore_ascii_case(foreign));
            let meant = match foreign {
                Some((_, ours)) => format!("; did you mean `{ours}`?"),
                None => problems.did_you_mean(text, SCALARS),
            };
            let known =
                if meant.is_empty() { format!("; known are {}", read::listed(&SCALARS)) } else { meant };
            return problems.none(name.place, format!("`{}` is no type{known}", shorten(text)));
        }
    };
    Some(scalar)
}

fn decimal(scale: &str, at: Place, problems: &mut Problems) -> Option<Scalar> {
    match scale.parse() {
        Ok(scale @ 0..=18) if scale.to_string().len() <= 2 => {
            Some(Scalar::Decimal { scale, round: false, minor: false })
        }
        _ => problems.none(at, format!("the scale of `decimal({})` should be from 0 to 18", shorten(scale))),
    }
}

fn path(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let what = "member names joined by dots, such as `metadata.service`";
    let name = read::scalar(node, what, problems)?;
    let path: Vec<String> = name.text.split('.').map(String::from).collect();
    if path.len() > PATH_MAX || path.iter().any(String::is_empty) {
        let message = format!("`{}` should be {what}, at most {PATH_MAX} of them", shorten(name.text));
        return problems.none(name.place, message);
    }
    Some(path)
}

/// Several fields may read one member, and members of a map or of `json`. Inside anything else there is
/// nothing to find.
fn check_paths(fields: &[Field], places: &[Place], sound: &[bool], problems: &mut Problems) {
    let is_sound = |(index, _): &(usize, &Field)| sound[*index];
    let mut closed: BTreeMap<&[String], &Field> = BTreeMap::new();
    for (_, field) in fields.iter().enumerate().filter(is_sound) {
        if !matches!(field.ty, FieldType::Scalar(Scalar::Json) | FieldType::Map(_)) {
            closed.insert(&field.path, field);
        }
    }
    for (index, field) in fields.iter().enumerate().filter(is_sound) {
        for length in 1..field.path.len() {
            let Some(outer) = closed.get(&field.path[..length]) else { continue };
            let message = format!(
                "`{}` lies inside `{}`, which is {}: it would never have a value",
                field.path.join("."),
                outer.name,
                type_name(&outer.ty)
            );
            problems.add(places[index], message);
        }
    }
}
