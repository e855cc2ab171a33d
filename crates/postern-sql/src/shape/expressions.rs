//! The expressions that are understood: which nodes, and every field of each.
//!
//! Nodes that only a planner makes are refused, as are the fields that only it sets. Where to
//! start: `expression`.

use pg_query::{NodeEnum, protobuf as pb};

use super::{Shape, unset};
use crate::refusal::Judged;

impl Shape<'_> {
    /// `None` if the node is no expression that is understood.
    pub(super) fn expression(&self, node: &mut NodeEnum) -> Option<Judged<()>> {
        let judged = match node {
            NodeEnum::AConst(n) => self.constant(n),
            NodeEnum::Integer(_) | NodeEnum::Boolean(_) | NodeEnum::AStar(_) => Ok(()),
            NodeEnum::String(pb::String { sval }) => self.text(sval),
            NodeEnum::BitString(pb::BitString { bsval }) => self.text(bsval),
            NodeEnum::List(pb::List { items }) => self.list(items),
            NodeEnum::ColumnRef(pb::ColumnRef { fields, location }) => {
                *location = 0;
                self.list(fields)
            }
            NodeEnum::ParamRef(pb::ParamRef { number, location }) => {
                *location = 0;
                let number = usize::try_from(*number).unwrap_or(usize::MAX);
                self.parameters.set(self.parameters.get().max(number));
                Ok(())
            }
            NodeEnum::TypeCast(n) => self.cast(n),
            NodeEnum::CollateClause(n) => self.collate(n),
            NodeEnum::AExpr(n) => self.operator(n),
            NodeEnum::FuncCall(n) => self.call(n),
            NodeEnum::NamedArgExpr(n) => self.named_argument(n),
            NodeEnum::AIndices(n) => self.indices(n),
            NodeEnum::AIndirection(n) => self.indirection(n),
            NodeEnum::AArrayExpr(n) => self.array(n),
            NodeEnum::SubLink(n) => self.sublink(n),
            NodeEnum::TypeName(n) => self.type_name_parts(n),
            _ => return self.logic(node),
        };
        Some(judged)
    }

    fn logic(&self, node: &mut NodeEnum) -> Option<Judged<()>> {
        let judged = match node {
            NodeEnum::BoolExpr(n) => {
                let pb::BoolExpr { xpr, boolop: _, args, location } = n.as_mut();
                *location = 0;
                unset(xpr.is_none(), "a planned expression").and_then(|()| self.list(args))
            }
            NodeEnum::NullTest(n) => {
                let pb::NullTest { xpr, arg, nulltesttype: _, argisrow, location } = n.as_mut();
                *location = 0;
                unset(xpr.is_none() && !*argisrow, "a planned expression")
                    .and_then(|()| self.child(arg))
            }
            NodeEnum::BooleanTest(n) => {
                let pb::BooleanTest { xpr, arg, booltesttype: _, location } = n.as_mut();
                *location = 0;
                unset(xpr.is_none(), "a planned expression").and_then(|()| self.child(arg))
            }
            NodeEnum::CaseExpr(n) => self.case(n),
            NodeEnum::CaseWhen(n) => {
                let pb::CaseWhen { xpr, expr, result, location } = n.as_mut();
                *location = 0;
                unset(xpr.is_none(), "a planned expression")
                    .and_then(|()| self.child(expr))
                    .and_then(|()| self.child(result))
            }
            NodeEnum::RowExpr(n) => {
                let pb::RowExpr { xpr, args, row_typeid, row_format: _, colnames, location } =
                    n.as_mut();
                *location = 0;
                unset(xpr.is_none() && *row_typeid == 0 && colnames.is_empty(), "a planned row")
                    .and_then(|()| self.list(args))
            }
            NodeEnum::CoalesceExpr(n) => {
                let pb::CoalesceExpr { xpr, coalescetype, coalescecollid, args, location } =
                    n.as_mut();
                *location = 0;
                unset(xpr.is_none() && *coalescetype == 0 && *coalescecollid == 0, "a plan")
                    .and_then(|()| self.list(args))
            }
            NodeEnum::MinMaxExpr(n) => self.min_max(n),
            NodeEnum::SqlvalueFunction(n) => {
                let pb::SqlValueFunction { xpr, op: _, r#type, typmod: _, location } = n.as_mut();
                *location = 0;
                unset(xpr.is_none() && *r#type == 0, "a planned expression")
            }
            NodeEnum::GroupingFunc(n) => {
                let pb::GroupingFunc { xpr, args, refs, agglevelsup, location } = n.as_mut();
                *location = 0;
                unset(xpr.is_none() && refs.is_empty() && *agglevelsup == 0, "a plan")
                    .and_then(|()| self.list(args))
            }
            NodeEnum::SetToDefault(n) => {
                let pb::SetToDefault { xpr, type_id, type_mod: _, collation, location } =
                    n.as_mut();
                *location = 0;
                unset(xpr.is_none() && *type_id == 0 && *collation == 0, "a planned default")
            }
            _ => return None,
        };
        Some(judged)
    }

    fn constant(&self, constant: &mut pb::AConst) -> Judged<()> {
        let pb::AConst { isnull: _, location, val } = constant;
        *location = 0;
        match val {
            Some(pb::a_const::Val::Sval(pb::String { sval })) => self.text(sval),
            // PostgreSQL 13 to 15 read `0x1f` and `1_000` as a number with an alias.
            Some(pb::a_const::Val::Fval(pb::Float { fval })) => {
                let plain =
                    |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
                unset(fval.chars().all(plain), "a number that older servers read differently")
            }
            Some(pb::a_const::Val::Bsval(pb::BitString { bsval })) => self.text(bsval),
            Some(pb::a_const::Val::Ival(_) | pb::a_const::Val::Boolval(_)) | None => Ok(()),
        }
    }

    fn cast(&self, cast: &mut pb::TypeCast) -> Judged<()> {
        let pb::TypeCast { arg, type_name, location } = cast;
        *location = 0;
        self.child(arg)?;
        self.type_name(type_name)
    }

    fn collate(&self, collate: &mut pb::CollateClause) -> Judged<()> {
        let pb::CollateClause { arg, collname, location } = collate;
        *location = 0;
        self.child(arg)?;
        self.list(collname)
    }

    fn operator(&self, operator: &mut pb::AExpr) -> Judged<()> {
        let pb::AExpr { kind: _, name, lexpr, rexpr, rexpr_list_start, rexpr_list_end, location } =
            operator;
        (*location, *rexpr_list_start, *rexpr_list_end) = (0, 0, 0);
        self.list(name)?;
        self.child(lexpr)?;
        self.child(rexpr)
    }

    fn call(&self, call: &mut pb::FuncCall) -> Judged<()> {
        let pb::FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group: _,
            agg_star: _,
            agg_distinct: _,
            func_variadic: _,
            funcformat: _,
            location,
        } = call;
        *location = 0;
        self.list(funcname)?;
        self.list(args)?;
        self.list(agg_order)?;
        self.child(agg_filter)?;
        over.as_mut().map_or(Ok(()), |window| self.window(window))
    }

    fn named_argument(&self, argument: &mut pb::NamedArgExpr) -> Judged<()> {
        let pb::NamedArgExpr { xpr, arg, name, argnumber: _, location } = argument;
        *location = 0;
        unset(xpr.is_none(), "a planned expression")?;
        self.text(name)?;
        self.child(arg)
    }

    fn indices(&self, indices: &mut pb::AIndices) -> Judged<()> {
        let pb::AIndices { is_slice: _, lidx, uidx } = indices;
        self.child(lidx)?;
        self.child(uidx)
    }

    fn indirection(&self, indirection: &mut pb::AIndirection) -> Judged<()> {
        let pb::AIndirection { arg, indirection } = indirection;
        self.child(arg)?;
        self.list(indirection)
    }

    fn array(&self, array: &mut pb::AArrayExpr) -> Judged<()> {
        let pb::AArrayExpr { elements, list_start, list_end, location } = array;
        (*location, *list_start, *list_end) = (0, 0, 0);
        self.list(elements)
    }

    fn sublink(&self, sublink: &mut pb::SubLink) -> Judged<()> {
        let pb::SubLink {
            xpr,
            sub_link_type: _,
            sub_link_id,
            testexpr,
            oper_name,
            subselect,
            location,
        } = sublink;
        *location = 0;
        unset(xpr.is_none() && *sub_link_id == 0, "a planned sub-select")?;
        self.child(testexpr)?;
        self.list(oper_name)?;
        self.child(subselect)
    }

    fn case(&self, case: &mut pb::CaseExpr) -> Judged<()> {
        let pb::CaseExpr { xpr, casetype, casecollid, arg, args, defresult, location } = case;
        *location = 0;
        unset(xpr.is_none() && *casetype == 0 && *casecollid == 0, "a planned expression")?;
        self.child(arg)?;
        self.list(args)?;
        self.child(defresult)
    }

    fn min_max(&self, min_max: &mut pb::MinMaxExpr) -> Judged<()> {
        let pb::MinMaxExpr { xpr, minmaxtype, minmaxcollid, inputcollid, op: _, args, location } =
            min_max;
        *location = 0;
        let planned = *minmaxtype != 0 || *minmaxcollid != 0 || *inputcollid != 0;
        unset(xpr.is_none() && !planned, "a planned expression")?;
        self.list(args)
    }
}
