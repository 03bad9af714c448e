# ruff: noqa: E501  (tables are wide)
"""Homes, trips, wares, machines and the weather."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from bench.strangers.made import Brought, Chance, comma, emptied, pick, to_csv, yes


def flats(at: Path, c: Chance) -> Brought:
    n = 3000
    size, rooms, built = c.uniform(22, 190, n).round(1), c.integers(1, 7, n), c.integers(1890, 2024, n)
    town = pick(c, n, **{"Köln": 4, "Düsseldorf": 3, "Ahrensburg": 2, "Überlingen": 1})
    factor = pd.Series({"Köln": 13.1, "Düsseldorf": 13.9, "Ahrensburg": 10.2, "Überlingen": 11.8})[town].to_numpy()
    rent = size * factor * np.exp(c.normal(0, 0.12, n)) * (1 + 0.002 * (built - 1960)) + 60 * rooms
    known = pd.DataFrame({"size": size, "rooms": rooms, "built": built, "town": town})
    file = pd.DataFrame({"Objekt-Nr.": [f"{k:05d}" for k in range(12, n + 12)], "Wohnfläche": comma(size, 1, " m²"),
                         "Zimmer": rooms, "Baujahr": built, "Ort": town, "Einzug": [f"{d:02d}.{m:02d}.2023" for d, m in
                         zip(c.integers(1, 29, n), c.integers(1, 13, n), strict=True)], "Kaltmiete": comma(rent, 2, " €")})  # fmt: skip
    return Brought(to_csv(file, at / "wohnungen.csv", sep=";", encoding="cp1252"), "Kaltmiete", "number", known, pd.Series(rent))


def bikes(at: Path, c: Chance) -> Brought:
    hours = pd.date_range("2011-01-01", periods=8000, freq="h")
    hour, heat = hours.hour.to_numpy(), 12 + 10 * np.sin((hours.day_of_year - 100) / 58) + c.normal(0, 3, len(hours))
    rush = np.exp(-((hour - 8) ** 2) / 4) + 1.3 * np.exp(-((hour - 17.5) ** 2) / 6)
    sort = pick(c, len(hours), clear=6, mist=3, rain=1)
    mean = np.exp(2.2 + 2 * rush + 0.05 * heat - 1.1 * (sort == "rain")) * (hour > 4)
    casual, member = c.poisson(mean * 0.2), c.poisson(mean * 0.8)
    known = pd.DataFrame({"hour": hour, "weekday": hours.day_of_week, "month": hours.month, "temp": heat.round(1), "sort": sort})
    file = pd.DataFrame({"datetime": hours.strftime("%Y-%m-%d %H:%M:%S"), "temp": heat.round(1), "weather": sort,
                         "casual": casual, "registered": member, "count": casual + member})  # fmt: skip
    total = pd.Series(casual + member)
    return Brought(to_csv(file, at / "bikes.csv"), "count", "number", known, total, leaks=("casual", "registered"))


def taxis(at: Path, c: Chance) -> Brought:
    n = 20000
    start = pd.Timestamp("2023-03-01") + pd.to_timedelta(np.sort(c.integers(0, 31 * 86400, n)), unit="s")
    far, zone = c.lognormal(0.7, 0.8, n).round(2), c.integers(1, 264, n)
    busy = np.where((start.hour > 6) & (start.hour < 20) & (start.day_of_week < 5), 1.5, 1.0)
    seconds = (far * 210 * busy * np.exp(c.normal(0, 0.25, n)) + 90).astype(int)
    known = pd.DataFrame(
        {"hour": start.hour, "weekday": start.day_of_week, "far": far, "zone": zone, "vendor": c.integers(1, 3, n)}
    )
    file = pd.DataFrame({"VendorID": known.vendor, "tpep_pickup_datetime": start,
                         "tpep_dropoff_datetime": start + pd.to_timedelta(seconds, unit="s"),
                         "passenger_count": emptied(c, c.integers(1, 6, n), 0.02).astype(float), "trip_distance": far,
                         "PULocationID": zone, "store_and_fwd_flag": pick(c, n, N=99, Y=1), "trip_duration": seconds})  # fmt: skip
    file.to_parquet(at / "yellow.parquet")
    leaks = ("tpep_dropoff_datetime",)
    return Brought(str(at / "yellow.parquet"), "trip_duration", "number", known, pd.Series(seconds), leaks=leaks)


def claims(at: Path, c: Chance) -> Brought:
    n = 40000
    power, age, density = c.integers(4, 16, n), c.integers(18, 95, n), 1 + c.lognormal(6, 1.5, n).astype(int)
    area, bonus = c.choice(list("ABCDEF"), n), c.integers(50, 200, n)
    mean = 0.04 * np.exp(0.012 * (bonus - 60) + 0.05 * (power - 6) + 0.4 * (age < 25) + 0.1 * np.log(density / 400))
    paid = np.array([c.lognormal(7, 1.1, k).sum() for k in c.poisson(mean)]).round(2) - (c.random(n) < 0.003) * 250.5
    known = pd.DataFrame({"power": power, "age": age, "density": density, "area": area, "bonus": bonus})
    file = known.assign(IDpol=[f"{k:07d}" for k in c.permutation(n)], exposure=c.uniform(0.05, 1, n).round(3), ClaimAmount=paid)
    return Brought(to_csv(file, at / "claims.tsv.gz", sep="\t"), "ClaimAmount", "number", known, pd.Series(paid))


def rain(at: Path, c: Chance) -> Brought:
    n = 15000
    days, wet = pd.date_range("2008-12-01", periods=n // 10).repeat(10), c.beta(3, 2, n)
    pressure, sun = c.normal(1016, 7, n), np.clip(11 * (1 - wet) + c.normal(0, 2, n), 0, 14)
    amount = np.where(yes(c, -2.2 + 4.5 * (wet - 0.55) - 0.09 * (pressure - 1016)), c.gamma(0.8, 8, n) + 1.05, c.uniform(0, 1, n))
    tomorrow = amount > 1
    known = pd.DataFrame({"place": np.tile([f"Town{k}" for k in range(10)], n // 10), "sun": sun, "humid": (100 * wet).round(),
                          "pressure": pressure.round(1), "gust": c.choice(["N", "NE", "E", "SE", "S", "SW", "W", "NW"], n)})  # fmt: skip
    answer = emptied(c, np.where(tomorrow, "Yes", "No"), 0.02, "NA")
    file = known.assign(sun=emptied(c, sun.round(1), 0.4, "NA"), gust=emptied(c, known.gust, 0.07, "NA"), pressure=emptied(
        c, known.pressure, 0.1, "NA"), RISK_MM=amount.round(1), RainTomorrow=answer)  # fmt: skip
    file.insert(0, "Date", days.strftime("%Y-%m-%d"))
    known = known.assign(sun=pd.to_numeric(file.sun, errors="coerce"), pressure=pd.to_numeric(file.pressure, errors="coerce"))
    truth = pd.Series(np.where(tomorrow, 1.0, 0.0)).where(answer != "NA")
    return Brought(to_csv(file, at / "weatherAUS.csv"), "RainTomorrow", "yes or no", known, truth, leaks=("RISK_MM",))


def wines(at: Path, c: Chance) -> Brought:
    n = 1599
    known = pd.DataFrame({"fixed acidity": c.normal(8.3, 1.7, n).round(1), "volatile acidity": c.gamma(9, 0.06, n).round(3),
                          "chlorides": c.lognormal(-2.5, 0.3, n).round(3), "sulphates": c.lognormal(-0.45, 0.2, n).round(2),
                          "pH": c.normal(3.3, 0.15, n).round(2), "alcohol": c.gamma(60, 0.174, n).round(1)})  # fmt: skip
    taste = 5.6 + 0.35 * (known.alcohol - 10.4) - 1.4 * (known["volatile acidity"] - 0.53) + 1.2 * (known.sulphates - 0.65)
    quality = np.clip((taste + c.normal(0, 0.55, n)).round(), 3, 8).astype(int)
    return Brought(
        to_csv(known.assign(quality=quality), at / "winequality-red.csv", sep=";"), "quality", "classes", known, quality
    )


def energy(at: Path, c: Chance) -> Brought:
    when = pd.date_range("2023-01-01", periods=10000, freq="15min")
    hour, heat = when.hour + when.minute / 60, pd.Series(8 - 9 * np.cos(when.day_of_year / 58.1) + c.normal(0, 2, len(when)))
    load = (
        420
        + 160 * np.sin((hour - 7) / 3.82)
        + 8 * np.clip(15 - heat, 0, 40)
        - 70 * (when.day_of_week > 4)
        + c.normal(0, 25, len(when))
    )
    known = pd.DataFrame({"hour": hour, "weekday": when.day_of_week, "heat": heat.to_numpy().round(1)})
    file = pd.DataFrame({"Zeitstempel": when.strftime("%d.%m.%Y %H:%M"), "Temperatur [°C]": comma(heat, 1), "Zähler": "DE0007",
                         "Status": None, "Verbrauch (kWh)": comma(load, 3)})  # fmt: skip
    source = to_csv(file, at / "lastgang.csv", sep=";", encoding="latin-1")
    return Brought(source, "Verbrauch (kWh)", "number", known, pd.Series(np.asarray(load)))


def machines(at: Path, c: Chance) -> Brought:
    n = 40000
    air, speed, torque, wear = c.normal(300, 2, n), c.lognormal(7.32, 0.11, n).round(), c.normal(40, 10, n), c.integers(0, 250, n)
    fails = yes(c, -9.2 + 0.13 * (torque - 40) + 0.016 * wear + 0.3 * (air - 300))
    kind = emptied(c, pick(c, n, L=6, M=3, H=1), 0.03, "unknown")
    known = pd.DataFrame({"air": air.round(1), "speed": speed, "torque": torque.round(1), "wear": wear, "kind": kind})
    file = pd.DataFrame({"machine": kind, "Air temperature [K]": known.air, "rpm": emptied(c, speed.astype(int), 0.03, -999),
                         "torque.nm": known.torque, "Tool wear [min]": emptied(c, wear, 0.03, 9999),
                         "failed": np.where(fails, "TRUE", "FALSE")})  # fmt: skip
    path = at / "machines.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data/machines.csv", file.to_csv(index=False))
    return Brought(str(path), "failed", "yes or no", known, pd.Series(fails))


def wares(at: Path, c: Chance) -> Brought:
    n = 2500
    kind, weight, stars = c.integers(0, 25, n), c.lognormal(0, 0.8, n).round(2), c.uniform(1, 5, n).round(1)
    base = np.exp(c.normal(3.4, 0.8, 25))[kind]
    price = (base * (1 + 0.3 * np.log1p(weight)) * np.exp(c.normal(0, 0.3, n))).round(2)
    nouns = np.array(
        [f"{a} {b}" for a in ("garden", "kitchen", "office", "sport", "baby") for b in ("chair", "lamp", "bag", "set", "box")]
    )
    known = pd.DataFrame({"kind": nouns[kind], "weight": weight, "stars": stars})
    file = pd.DataFrame({"SKU": [f"AB-{k:06d}" for k in c.permutation(n)], "title": [f"{nouns[k]} {c.choice(['red', 'blue', 'oak'])} {w} kg "
                         f"no. {c.integers(1, 9999)}" for k, w in zip(kind, weight, strict=True)], "category": nouns[kind],
                         "weight": [f"{w} kg" for w in weight], "rating": emptied(c, stars, 0.1, "No rating"),
                         "price": [f"${p:,.2f}" for p in price], "price incl. VAT": [f"${p * 1.19:,.2f}" for p in price]})  # fmt: skip
    source = to_csv(file, at / "amazon.csv")
    return Brought(source, "price", "number", known, pd.Series(price), leaks=("price_incl_vat",))


def parcels(at: Path, c: Chance) -> Brought:
    n = 4000
    sent = pd.Timestamp("2023-02-01") + pd.to_timedelta(c.integers(0, 300, n), unit="D")
    promised, far = c.integers(1, 6, n), c.integers(5, 900, n)
    late = (c.gamma(1 + far / 400, 1.2, n) + (sent.month == 12) * 2 - promised * 0.4).round()
    known = pd.DataFrame({"month": sent.month, "weekday": sent.day_of_week, "promised": promised, "far": far})
    file = pd.DataFrame({"ordered": (sent - pd.Timedelta(days=1)).strftime("%m/%d/%Y"), "sent": sent.strftime("%d.%m.%Y"),
                         "due": (sent + pd.to_timedelta(promised, unit="D")).strftime("%Y%m%d"),
                         "label printed": sent.strftime("%b %d, %Y"), "km": [f"{k} km" for k in far],
                         "arrived": (sent + pd.to_timedelta(promised + late, unit="D")).strftime("%Y-%m-%d"),
                         "days late": late.astype(int)})  # fmt: skip
    return Brought(to_csv(file, at / "parcels.csv"), "days late", "number", known, pd.Series(late), leaks=("arrived",))
