//! Every node type of PostgreSQL's grammar with what becomes of it in a statement.
//!
//! The match has no wildcard: when the grammar gains a node, this does not compile until somebody
//! has judged it. [`crate::shape`] asks here first, so that nothing passes that is not listed as
//! passing.

use pg_query::NodeEnum;

/// What becomes of a node in a statement that reads or writes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeVerdict {
    /// An expression that is understood.
    Expression,
    /// A clause, or a statement that may stand in another, that is understood.
    Clause,
    /// A statement on its own that `utility` judges; refused inside of another.
    Utility,
    /// It stands in a field of its own in an allowed node; anywhere else it is refused.
    Inside,
    /// Refused: only the server makes it, after parsing.
    Planned,
    /// Refused: SQL/JSON and XML have names, types and paths in places of their own, and servers
    /// before 16 do not know the former. Functions do the same.
    JsonOrXml,
    /// It says how its object is to be, or changes or drops it: refused, but for what `definitions`
    /// judges for accounted roles.
    Definition,
    /// Refused: it says who may do what.
    Privilege,
    /// Refused: it is for administrators.
    Administration,
    /// Refused: it runs or loads code.
    Code,
    /// Refused: it makes or uses an object of the session, or moves rows in a way of its own.
    Session,
    /// Refused: a form of an allowed clause that is not understood.
    Form,
}

macro_rules! verdicts {
    ($($verdict:ident: $($node:ident)*;)*) => {
        pub(crate) fn verdict(node: &NodeEnum) -> NodeVerdict {
            match node {
                $($(NodeEnum::$node(_))|* => NodeVerdict::$verdict,)*
            }
        }

        #[cfg(test)]
        fn every_node() -> Vec<(NodeVerdict, NodeEnum)> {
            vec![$($((NodeVerdict::$verdict, NodeEnum::$node(Default::default())),)*)*]
        }
    };
}

verdicts! {
    Expression: AArrayExpr AConst AExpr AIndices AIndirection AStar BitString BoolExpr Boolean
        BooleanTest CaseExpr CaseWhen CoalesceExpr CollateClause ColumnRef FuncCall GroupingFunc
        Integer List MinMaxExpr NamedArgExpr NullTest ParamRef RowExpr SetToDefault
        SqlvalueFunction String SubLink TypeCast TypeName;
    Clause: ColumnDef CommonTableExpr DeleteStmt GroupingSet IndexElem InsertStmt JoinExpr
        LockingClause MergeStmt MergeWhenClause MultiAssignRef RangeFunction
        RangeSubselect RangeTableSample RangeVar
        ResTarget SelectStmt SortBy UpdateStmt WindowDef;
    Utility: ClosePortalStmt DeallocateStmt DiscardStmt TransactionStmt UnlistenStmt
        VariableSetStmt VariableShowStmt;
    Inside: Alias DefElem Float InferClause OnConflictClause RawStmt ReturningClause WithClause;
    Planned: Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr CaseTestExpr CoerceToDomain
        CoerceToDomainValue CoerceViaIo CollateExpr ConvertRowtypeExpr DistinctExpr FieldSelect
        FieldStore FromExpr FuncExpr InferenceElem IntList JsonConstructorExpr JsonExpr
        JsonTablePath JsonTablePathScan JsonTableSiblingJoin MergeAction MergeSupportFunc
        NextValueExpr NullIfExpr OidList OnConflictExpr OpExpr Param Query RangeTblEntry
        RangeTblFunction RangeTblRef RelabelType ReturningExpr RowCompareExpr RowMarkClause
        RtepermissionInfo ScalarArrayOpExpr SetOperationStmt SortGroupClause SubPlan
        SubscriptingRef TableFunc TableSampleClause TargetEntry Var WindowClause WindowFunc
        WindowFuncRunCondition WithCheckOption;
    JsonOrXml: JsonAggConstructor JsonArgument JsonArrayAgg JsonArrayConstructor
        JsonArrayQueryConstructor JsonBehavior JsonFormat JsonFuncExpr JsonIsPredicate
        JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning
        JsonScalarExpr JsonSerializeExpr JsonTable JsonTableColumn JsonTablePathSpec
        JsonValueExpr RangeTableFunc RangeTableFuncCol XmlExpr XmlSerialize;
    Definition: AlterCollationStmt AlterDomainStmt AlterEnumStmt AlterExtensionContentsStmt
        AlterExtensionStmt AlterFdwStmt AlterForeignServerStmt AlterObjectDependsStmt
        AlterObjectSchemaStmt AlterOpFamilyStmt AlterOperatorStmt AlterOwnerStmt AlterSeqStmt
        AlterStatsStmt AlterTableCmd AlterTableMoveAllStmt AlterTableSpaceOptionsStmt
        AlterTableStmt AlterTsconfigurationStmt AlterTsdictionaryStmt AlterTypeStmt
        AtalterConstraint CommentStmt CompositeTypeStmt Constraint CreateAmStmt
        CreateCastStmt CreateConversionStmt CreateDomainStmt CreateEnumStmt
        CreateExtensionStmt CreateFdwStmt CreateForeignServerStmt CreateForeignTableStmt
        CreateOpClassItem CreateOpClassStmt CreateOpFamilyStmt CreateRangeStmt
        CreateSchemaStmt CreateSeqStmt CreateStatsStmt CreateStmt CreateTableAsStmt
        CreateTableSpaceStmt CreateTransformStmt DefineStmt DropStmt DropTableSpaceStmt
        ImportForeignSchemaStmt IndexStmt IntoClause ObjectWithArgs PartitionBoundSpec
        PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec RefreshMatViewStmt
        RenameStmt ReplicaIdentityStmt StatsElem TableLikeClause TruncateStmt ViewStmt;
    Privilege: AccessPriv AlterDefaultPrivilegesStmt AlterPolicyStmt AlterRoleSetStmt
        AlterRoleStmt AlterUserMappingStmt CreatePolicyStmt CreateRoleStmt
        CreateUserMappingStmt DropOwnedStmt DropRoleStmt DropUserMappingStmt GrantRoleStmt
        GrantStmt ReassignOwnedStmt RoleSpec SecLabelStmt;
    Administration: AlterDatabaseRefreshCollStmt AlterDatabaseSetStmt AlterDatabaseStmt
        AlterPublicationStmt AlterSubscriptionStmt AlterSystemStmt CheckPointStmt ClusterStmt
        CreatePublicationStmt CreateSubscriptionStmt CreatedbStmt DropSubscriptionStmt
        DropdbStmt PublicationObjSpec PublicationTable ReindexStmt VacuumRelation VacuumStmt;
    Code: AlterEventTrigStmt AlterFunctionStmt CallContext CallStmt CreateEventTrigStmt
        CreateFunctionStmt CreatePlangStmt CreateTrigStmt DoStmt FunctionParameter
        InlineCodeBlock LoadStmt ReturnStmt PlassignStmt RuleStmt TriggerTransition;
    Session: ConstraintsSetStmt CopyStmt CurrentOfExpr DeclareCursorStmt ExecuteStmt ExplainStmt
        FetchStmt ListenStmt LockStmt NotifyStmt PrepareStmt;
    Form: CtecycleClause CtesearchClause ReturningOption;
}

#[cfg(test)]
mod tests;
