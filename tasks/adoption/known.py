"""What is known of libraries and of pandas' methods: which look at one row at a time, and what the others need."""

BY_ROW = frozenset({
    "abs", "add", "sub", "subtract", "mul", "multiply", "div", "divide", "truediv", "floordiv", "mod", "pow", "radd",
    "rsub", "rmul", "rdiv", "eq", "ne", "lt", "le", "gt", "ge", "astype", "fillna", "map", "apply", "replace", "clip",
    "round", "isin", "isna", "isnull", "notna", "notnull", "between", "where", "mask", "copy", "to_numpy", "values",
    "transform", "applymap", "assign", "combine_first", "tz_localize", "tz_convert", "total_seconds", "normalize",
    "convert_dtypes", "infer_objects", "squeeze", "ravel", "flatten", "reshape", "drop", "rename",
})  # fmt: skip
ACROSS = frozenset({
    "sum", "mean", "min", "max", "median", "std", "var", "prod", "any", "all", "count", "nunique", "skew", "idxmax",
    "idxmin",
})  # fmt: skip
NUMPY = frozenset({
    "log", "log1p", "log2", "log10", "exp", "expm1", "sqrt", "cbrt", "abs", "absolute", "fabs", "where", "select",
    "maximum", "minimum", "fmax", "fmin", "power", "square", "floor", "ceil", "round", "around", "rint", "trunc", "clip",
    "isnan", "isfinite", "isinf", "nan_to_num", "nan", "inf", "pi", "e", "sign", "sin", "cos", "tan", "tanh", "sinh",
    "cosh", "arcsin", "arccos", "arctan", "arctan2", "arcsinh", "hypot", "radians", "deg2rad", "degrees", "rad2deg", "mod",
    "remainder", "fmod", "divide", "true_divide", "floor_divide", "multiply", "add", "subtract", "logical_and",
    "logical_or", "logical_not", "logical_xor", "float64", "float32", "int64", "int32", "int8", "bool_", "datetime64",
    "timedelta64", "isin", "digitize", "equal", "greater", "less", "float_", "int_",
})  # fmt: skip
PANDAS = frozenset({
    "to_datetime", "to_numeric", "to_timedelta", "isna", "isnull", "notna", "notnull", "Timestamp", "Timedelta", "NA",
    "NaT", "cut",
})  # fmt: skip
BUILTINS = frozenset({
    "len", "int", "float", "str", "bool", "abs", "min", "max", "round", "sum", "any", "all", "sorted", "range",
    "isinstance", "list", "tuple", "set", "dict", "zip", "enumerate", "True", "False", "None", "map", "filter", "ord",
    "chr", "type",
})  # fmt: skip
MODULES = frozenset({
    "math", "re", "string", "datetime", "unicodedata", "itertools", "functools", "collections", "statistics",
})  # fmt: skip
NOW = frozenset({"time", "now", "utcnow", "today"})
_OTHERS = ("shift", "diff", "pct_change", "rolling", "expanding", "ewm", "cumsum", "cumcount", "cumprod", "ffill", "bfill",
           "interpolate")  # fmt: skip
WHOLE = {
    **dict.fromkeys(_OTHERS, "other rows"),
    **dict.fromkeys(("corr", "unique"), "all rows"),
    **dict.fromkeys(("sample", "random"), "chance"),
    **dict.fromkeys(("merge", "join"), "another table"),
    "rank": "ranks among all rows",
    "groupby": "groups of rows",
    "value_counts": "counts over all rows",
    "factorize": "the order of all rows",
    "qcut": "the quantiles of all rows",
    "codes": "which categories there are",
    "mode": "the most frequent value of all rows",
    "quantile": "a quantile of all rows",
}
