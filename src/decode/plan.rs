//! The declared fields as a tree of members: what the reader follows instead of looking names up in paths.

use crate::model::STRING_BYTES_MAX;
use crate::topology::{Field, FieldType, Scalar};
use std::collections::BTreeMap;

/// The event itself, both as a struct and as an object.
pub(super) const EVENT: usize = 0;

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) structs: Vec<StructPlan>,
    pub(super) objects: Vec<ObjectPlan>,
}

/// Whatever has columns of its own: the event, or the items of a list.
#[derive(Debug)]
pub(super) struct StructPlan {
    pub(super) object: usize,
    /// Field *k* fills column *k*.
    pub(super) fields: Vec<FieldPlan>,
}

#[derive(Debug)]
pub(super) struct FieldPlan {
    /// As details name it: `items.price`.
    pub(super) label: String,
    pub(super) required: bool,
    pub(super) read: Read,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    Scalar(Scalar),
    Scalars(Scalar),
    Structs(usize),
    Map(Scalar),
}

/// An object that is read member by member: a struct's own, or one on the way of a path.
#[derive(Debug)]
pub(super) struct ObjectPlan {
    /// The struct that its fields belong to.
    pub(super) owner: usize,
    /// By length and name.
    pub(super) members: Vec<Member>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Box<[u8]>,
    /// Fields whose path ends here.
    pub(super) fields: Vec<usize>,
    /// The object that longer paths go through.
    pub(super) inside: Option<usize>,
    /// The field, and how it is read, where it is the only one and no path goes further: of nearly every member.
    pub(super) only: Option<(usize, Read)>,
}

impl Plan {
    pub(super) fn new(fields: &[Field]) -> Plan {
        let mut plan = Plan::default();
        plan.add_struct(fields, "");
        let Plan { structs, objects } = &mut plan;
        for object in objects {
            for member in &mut object.members {
                if let (&[field], None) = (&member.fields[..], member.inside) {
                    member.only = Some((field, structs[object.owner].fields[field].read));
                }
            }
        }
        plan
    }

    fn add_struct(&mut self, fields: &[Field], prefix: &str) -> usize {
        let index = self.structs.len();
        self.structs.push(StructPlan { object: 0, fields: Vec::new() });
        let paths: Vec<_> = fields.iter().map(|field| &field.path[..]).enumerate().collect();
        let object = self.add_object(index, &paths);
        let fields = fields.iter().map(|field| self.field(field, prefix)).collect();
        self.structs[index] = StructPlan { object, fields };
        index
    }

    fn field(&mut self, field: &Field, prefix: &str) -> FieldPlan {
        let label = format!("{prefix}{}", field.name);
        let read = match &field.ty {
            FieldType::Scalar(scalar) => Read::Scalar(*scalar),
            FieldType::ListOfScalar(scalar) => Read::Scalars(*scalar),
            FieldType::Map(scalar) => Read::Map(*scalar),
            FieldType::ListOfStruct(items) => Read::Structs(self.add_struct(items, &format!("{label}."))),
        };
        FieldPlan { label, required: field.required, read }
    }

    /// `paths` are what is left of the fields' paths from this object on.
    fn add_object(&mut self, owner: usize, paths: &[(usize, &[String])]) -> usize {
        type Fields<'a> = Vec<(usize, &'a [String])>;
        let index = self.objects.len();
        self.objects.push(ObjectPlan { owner, members: Vec::new() });
        let mut names: BTreeMap<&str, Fields<'_>> = BTreeMap::new();
        for &(field, path) in paths {
            // No record may hold a longer name, so such a field is never there.
            if let Some((name, rest)) = path.split_first()
                && name.len() <= STRING_BYTES_MAX
            {
                names.entry(name).or_default().push((field, rest));
            }
        }
        let mut members = Vec::new();
        for (name, found) in names {
            let (here, deeper): (Fields<'_>, Fields<'_>) =
                found.into_iter().partition(|(_, rest)| rest.is_empty());
            members.push(Member {
                name: name.as_bytes().into(),
                fields: here.into_iter().map(|(field, _)| field).collect(),
                inside: (!deeper.is_empty()).then(|| self.add_object(owner, &deeper)),
                only: None,
            });
        }
        members.sort_by(|a, b| order(&a.name, &b.name));
        self.objects[index].members = members;
        index
    }
}

/// Lengths first: most names differ there already.
pub(super) fn order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
