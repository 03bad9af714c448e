# ruff: noqa: E501  (tables are wide)
"""Sport, species, words, logs, money, and what scikit-learn brings along."""

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd

from bench.strangers.made import Brought, Chance, emptied, pick, to_csv, yes


def football(at: Path, c: Chance) -> Brought:
    n = 2280
    teams = np.array(
        [
            f"FC {name}"
            for name in [
                "Aston",
                "Brent",
                "Chel",
                "Derby",
                "Ever",
                "Ful",
                "Gill",
                "Hull",
                "Ips",
                "Jar",
                "Kett",
                "Leeds",
                "Man",
                "New",
                "Orient",
            ]
        ]
    )
    strength = c.normal(0, 0.4, len(teams))
    home, away = c.integers(0, len(teams), n), c.integers(0, len(teams), n)
    mine, theirs = np.exp(0.25 + strength[home] - strength[away]), np.exp(-0.05 + strength[away] - strength[home])
    goals, against = c.poisson(mine), c.poisson(theirs)
    result = np.select([goals > against, goals < against], ["H", "A"], "D")
    odds = (1.05 / np.clip(0.45 + 0.2 * (strength[home] - strength[away]) + c.normal(0, 0.03, n), 0.05, 0.9)).round(2)
    known = pd.DataFrame({"home": teams[home], "away": teams[away], "odds": odds})
    file = pd.DataFrame({"Div": "E0", "Date": [f"{d:02d}/{m:02d}/{y}" for d, m, y in zip(c.integers(1, 29, n), c.integers(1, 13, n),
                         c.integers(2016, 2024, n), strict=True)], "HomeTeam": teams[home], "AwayTeam": teams[away], "B365H": odds,
                         "FTHG": goals, "FTAG": against, "FTR": result})  # fmt: skip
    return Brought(to_csv(file, at / "E0.csv"), "FTR", "classes", known, pd.Series(result), leaks=("FTHG", "FTAG"))


def penguins(at: Path, c: Chance) -> Brought:
    n = 344
    kind = c.choice(3, n, p=[0.44, 0.2, 0.36])
    bill, flipper = c.normal(np.array([38.8, 48.8, 47.5])[kind], 2.9), c.normal(np.array([190, 196, 217])[kind], 6.5).round()
    mass, island = (
        (c.normal(np.array([3700, 3733, 5076])[kind], 400) / 25).round() * 25,
        c.choice(["Biscoe", "Dream", "Torgersen"], n),
    )
    known = pd.DataFrame({"island": island, "bill": bill.round(1), "flipper": flipper, "mass": mass})
    file = pd.DataFrame({"": np.arange(1, n + 1), "species": np.array(["Adelie", "Chinstrap", "Gentoo"])[kind], "island": island,
                         "bill_length_mm": emptied(c, known.bill, 0.006, "NA"), "flipper_length_mm": emptied(c, flipper, 0.006, "NA"),
                         "body_mass_g": mass, "sex": emptied(c, pick(c, n, male=1, female=1), 0.03, "NA")})  # fmt: skip
    return Brought(to_csv(file, at / "penguins.csv"), "species", "classes", known, file.species)


def tweets(at: Path, c: Chance) -> Brought:
    n = 4000
    mood = c.choice(3, n, p=[0.6, 0.2, 0.2])
    own = [["late", "cancelled", "worst", "lost", "rude", "waiting"], ["gate", "when", "flight", "question", "info"],
           ["thanks", "great", "love", "best", "awesome"]]  # fmt: skip
    fill = [
        "the",
        "my",
        "a",
        "flight",
        "bag",
        "crew",
        "seat",
        "you",
        "was",
        "is",
        "it",
        "to",
        "from",
        "with",
        "on",
        "in",
        "today",
        "and",
        "for",
        "at",
    ]
    text = [f"@air{c.integers(1, 9)} " + " ".join(c.permutation([*c.choice(fill, 9), *c.choice(own[m if c.random() < 0.8 else c.integers(3)], 2)]))
            + c.choice(["!", "", " 😡", ", ok\nbye", ' "sic"']) for m in mood]  # fmt: skip
    known = pd.DataFrame({"late": [sum(word in one for word in own[0]) for one in text],
                          "thanks": [sum(word in one for word in own[2]) for one in text],
                          "info": [sum(word in one for word in own[1]) for one in text]})  # fmt: skip
    file = pd.DataFrame({"tweet_id": 570_306_133_677_760_513 + np.cumsum(c.integers(1, 10**9, n)), "text": text,
                         "retweets": c.poisson(0.1, n), "airline_sentiment": np.array(["negative", "neutral", "positive"])[mood]})  # fmt: skip
    return Brought(to_csv(file, at / "Tweets.csv"), "airline_sentiment", "classes", known, file.airline_sentiment)


def weblog(at: Path, c: Chance) -> Brought:
    n = 80000
    when = pd.Timestamp("2024-01-29") + pd.to_timedelta(np.sort(c.integers(0, 5 * 86400, n)), unit="s")
    path = c.choice([f"/p/{k}" for k in range(300)] + ["/robots.txt", "/wp-login.php"], n)
    took, size = c.lognormal(4, 1, n).round(1), c.lognormal(8, 1.5, n).astype(int)
    bot = yes(c, -5 + 3 * np.isin(path, ["/robots.txt", "/wp-login.php"]) + 1.2 * (when.hour < 5) - 0.5 * (np.log(took) - 4))
    known = pd.DataFrame({"hour": when.hour, "path": path, "took": took, "size": size, "status": c.choice([200, 304, 404], n)})
    file = pd.DataFrame({"ip": [".".join(map(str, ip)) for ip in c.integers(1, 255, (n, 4))], "time": when.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
                         "path": path, "status": known.status, "bytes": emptied(c, size, 0.05, "-"), "ms": took, "is_bot": bot.astype(int)})  # fmt: skip
    return Brought(to_csv(file, at / "access.csv"), "is_bot", "yes or no", known, pd.Series(bot))


def crops(at: Path, c: Chance) -> Brought:
    n, classes = 3000, 40
    kind = np.minimum(c.integers(0, classes, n), c.integers(0, classes + 6, n)) % classes
    middle, names = c.normal(0, 1, (classes, 6)), np.array([f"crop {k:02d}" for k in range(classes)])
    values = middle[kind] * 1.2 + c.normal(0, 1, (n, 6))
    known = pd.DataFrame(values.round(3), columns=["N", "P", "K", "temp", "rain", "ph"])
    label = names[kind].astype(object)
    label[[7, 99]] = ["quinoa (trial)", "hops"]
    return Brought(to_csv(known.assign(label=label), at / "crops.csv", index=True), "label", "classes", known, pd.Series(label))


def towns(at: Path, c: Chance) -> Brought:
    n = 3000
    kind = c.integers(0, 7, n)
    known = pd.DataFrame({f"m{k}": (c.normal(0, 1, 7)[kind] + c.normal(0, 0.8, n)).round(2) for k in range(5)})
    names = ["north", "south", "east", "west", "centre", "old town", "harbour"]
    label = np.array(names)[kind].astype(object)
    spelled = [f" {one}" if c.random() < 0.05 else f"{one} " if c.random() < 0.05 else one for one in label]
    return Brought(to_csv(known.assign(district=spelled), at / "towns.csv"), "district", "classes", known, pd.Series(label))


def wide(at: Path, c: Chance) -> Brought:
    n = 300
    known = pd.DataFrame(c.normal(0, 1, (n, 60)).round(4), columns=[f"gene.{k}" for k in range(60)])
    value = 2 * known["gene.3"] - known["gene.7"] + 1.5 * known["gene.12"] * (known["gene.20"] > 0) + c.normal(0, 1, n)
    file = known.assign(constant=1.0, nothing=np.nan, response=value.round(5))
    return Brought(to_csv(file, at / "genes.csv"), "response", "number", known, value)


def returns(at: Path, c: Chance) -> Brought:
    n = 9000
    spread, volume = c.normal(0, 1, n), c.lognormal(10, 2, n).round()
    value = np.where(c.random(n) < 0.4, 0, 3 * spread + c.standard_t(3, n)).round(4)
    known = pd.DataFrame({"spread": spread.round(5), "volume": volume, "side": pick(c, n, B=1, S=1)})
    lines = known.assign(
        meta=pd.Series([{"venue": v} for v in pick(c, n, X=1, Y=2)]), account=c.integers(10**16, 10**17, n), pnl=value
    )
    lines.to_json(at / "trades.jsonl", orient="records", lines=True)
    return Brought(str(at / "trades.jsonl"), "pnl", "number", known, pd.Series(value))


def fraud(at: Path, c: Chance) -> Brought:
    n = 80000
    amount, age = c.lognormal(3.5, 1.3, n).round(2), c.integers(0, 4000, n)
    hidden = pd.DataFrame(c.normal(0, 1, (n, 8)), columns=[f"V{k}" for k in range(1, 9)])
    bad = yes(c, -8 + 1.6 * hidden.V1 - 1.2 * hidden.V4 + 0.4 * np.log(amount) - 0.0004 * age)
    known = hidden.assign(Amount=amount, age=age)
    file = known.assign(
        Time=np.sort(c.integers(0, 172800, n)), card=[f"{k:012d}" for k in c.integers(0, 10**7, n)], Class=bad.astype(int)
    )
    file.to_parquet(at / "creditcard.parquet", index=False)
    return Brought(str(at / "creditcard.parquet"), "Class", "yes or no", known, pd.Series(bad))


def orders(at: Path, c: Chance) -> Brought:
    n = 6000
    paid, items, country = c.lognormal(3, 1, n).round(2), c.integers(1, 9, n), pick(c, n, DE=5, AT=2, CH=1)
    back = yes(c, -1.6 + 0.25 * items + 0.6 * (country == "CH") + 0.3 * np.log(paid / 20))
    known = pd.DataFrame({"amount": paid, "items": items, "country": country})
    file = known.assign(order_id=np.arange(n), created=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n) * 7, unit="min"),
                        returned=back.astype(int), refunded=np.where(back, paid, 0))  # fmt: skip
    with sqlite3.connect(at / "shop.db") as connection:
        file.assign(created=file.created.astype(str)).to_sql("orders", connection, index=False)
    source, more = f"sqlite:///{at / 'shop.db'}", ("--table", "orders")
    return Brought(source, "returned", "yes or no", known, pd.Series(back), ("refunded",), more)


def bundled(name: str, at: Path) -> Brought:
    """One of scikit-learn's own tables, its classes as words where it has words."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    words = name in ("iris", "breast_cancer", "wine")
    answers = bunch.target.map(dict(enumerate(bunch.target_names))) if words else bunch.target
    kind = {"breast_cancer": "yes or no", "diabetes": "number"}.get(name, "classes")
    return Brought(to_csv(bunch.data.assign(target=answers), at / f"{name}.csv"), "target", kind, bunch.data, answers)
