"""Tables as the world sends them, the same every time, each with what should be found in it."""

import random
from pathlib import Path

from tests.onboarding.made import Made, day, german, write_csv


def prices(at: Path, c: random.Random) -> Made:
    rows = [
        [
            f"W{n:04d}",
            f"{n % 9 + c.random():.1f} kg",
            c.choice(["Köln", "Ulm"]),
            f"{german(900 + n % 9 * 300 + c.random() * 50)} €",
        ]
        for n in range(400)
    ]
    source = write_csv(
        at / "preise.csv", ["Artikel-Nr", "Gewicht", "Straße", "Preis (EUR)"], rows, delimiter=";", encoding="cp1252"
    )
    return Made(
        "prices", source, "Preis (EUR)", "number", ("artikel_nr",), {"Gewicht": "float", "preis_eur": "float", "strasse": "text"}
    )


def churn(at: Path, c: random.Random) -> Made:
    rows = []
    for n in range(700):
        months, gone = c.randint(0, 70), c.random() < 0.27
        paid = " " if months == 0 else f"{months * 20.5:.2f}"
        rows.append(
            [
                f"{7000 + n}-XYZ",
                "Yes" if c.random() < 0.5 else "No",
                months,
                paid,
                "moved away" if gone else "",
                "Yes" if gone else "No",
            ]
        )
    source = write_csv(at / "churn.csv", ["customerID", "Partner", "tenure", "TotalCharges", "Churn Reason", "Churn"], rows)
    types = {"customerID": "text", "Partner": "bool", "TotalCharges": "float", "Churn": "bool"}
    return Made("churn", source, "Churn", "yes or no", ("customerID",), types, unused=("churn_reason",), rows=700)


def housing(at: Path, c: random.Random) -> Made:
    rows = []
    for n in range(600):
        size = c.randint(600, 4000)
        price = size * 150 + c.randint(0, 60_000)
        rows.append(
            [
                n,
                f"{size:,} sqft",
                f"{c.randint(1, 12)}/{c.randint(1, 28)}/2023",
                c.choice(["A", "B", "NA"]),
                c.choice([2, 3, "NA"]),
                f"${price:,}",
                f"{price * 1.07:.0f}",
            ]
        )
    source = write_csv(at / "houses.csv", ["", "Living Area", "Date Sold", "Zone", "Baths", "Price", "price with tax"], rows)
    types = {"living_area": "int", "date_sold": "date", "Price": "int", "Baths": "int"}
    return Made("housing", source, "Price", "number", ("row_number",), types, leaks=("price_with_tax",), rows=600)


def sensors(at: Path, c: random.Random) -> Made:
    rows = [
        [
            f"s{n % 5}",
            f"{day(n // 120)} {n // 5 % 24:02d}:00:00",
            -999 if c.random() < 0.04 else round(20 + n % 24 / 4 + c.random(), 2),
            round(50 + c.random() * 20, 1),
            int(c.random() < 0.2),
        ]
        for n in range(1200)
    ]
    source = write_csv(at / "sensors.csv", ["sensor", "measured at", "temperature", "humidity", "alarm"], rows)
    return Made(
        "sensors",
        source,
        "alarm",
        "yes or no",
        ("sensor", "measured_at"),
        {"measured_at": "timestamp", "temperature": "float"},
        rows=1200,
    )


def income(at: Path, c: random.Random) -> Made:
    jobs = ["Private", "Self-emp", "?", "State-gov"]
    rows = []
    for _ in range(900):
        years = c.randint(1, 16)
        rows.append(
            [
                c.randint(17, 90),
                c.choice(jobs),
                years,
                99999 if c.random() < 0.01 else c.randint(0, 40) * 100,
                ">50K" if years + c.random() * 8 > 15 else "<=50K",
            ]
        )
    source = write_csv(at / "adult.csv", ["age", "workclass", "education-num", "capital-gain", "income"], rows)
    return Made("income", source, "income", "yes or no", (), {"education_num": "int", "workclass": "text"}, rows=900)


def claims(at: Path, c: random.Random) -> Made:
    rows = []
    for n in range(2000):
        fraud = c.random() < 0.02
        rows.append(
            [
                f"{100000 + n * 7}",
                f"{day(c.randint(0, 300)):%d.%m.%Y}",
                german(c.random() * 9000),
                c.choice(["auto", "home"]),
                "EUR",
                int(fraud),
            ]
        )
    source = write_csv(at / "claims.csv", ["claim_id", "claim date", "amount", "line", "currency", "fraud"], rows, delimiter=";")
    types = {"claim_date": "date", "amount": "float", "fraud": "int"}
    return Made("claims", source, "fraud", "yes or no", ("claim_id",), types, unused=("currency",), says="imbalanced", rows=2000)


def species(at: Path, c: random.Random) -> Made:
    kinds = ["setosa"] * 150 + ["versicolor"] * 120 + ["virginica"] * 29 + ["lonely"]
    rows = [[round(len(kind) / 3 + c.gauss(0, 1), 1), round(c.gauss(3, 1), 1), kind] for kind in kinds]
    c.shuffle(rows)
    source = write_csv(at / "species.csv", ["petal length (cm)", "petal width (cm)", "species"], rows)
    return Made(
        "species",
        source,
        "species",
        "classes",
        (),
        {"petal_length_cm": "float"},
        says="one class stands in one row only",
        rows=300,
    )


def leaking(at: Path, c: random.Random) -> Made:
    rows = []
    for n in range(500):
        answer = c.random() < 0.4
        rows.append([n + 1, c.random(), c.random() + answer * 0.3, 1000 * answer + c.random(), "late" if answer else "in time"])
    source = write_csv(at / "orders.csv", ["order_id", "distance", "weight", "penalty", "delivery"], rows)
    return Made("leaking", source, "delivery", "yes or no", ("order_id",), leaks=("penalty",), rows=500)


def zeros(at: Path, c: random.Random) -> Made:
    rows = [[f"{n:05d}", c.choice(["01067", "80331"]), 10**17 + n, c.choice([0, 1, 2]) + n % 7] for n in range(400)]
    return Made(
        "zeros",
        write_csv(at / "zip.csv", ["code", "zip", "account", "visits"], rows, delimiter="\t"),
        "visits",
        "classes",
        ("code",),
        {"code": "text", "zip": "text", "account": "int"},
    )


def reviews(at: Path, c: random.Random) -> Made:
    good, bad = ["great", "lovely", "perfect", "fast"], ["awful", "broken", "slow", "refund"]
    rows = []
    for n in range(400):
        liked = c.random() < 0.5
        words = [
            c.choice(good if liked else bad),
            "product",
            "number",
            str(n),
            c.choice(["arrived", "bought", "used"]),
            "today, really",
        ]
        rows.append([f'{" ".join(words)} "quoted"', c.randint(1, 9), "positive" if liked else "negative"])
    return Made(
        "reviews",
        write_csv(at / "reviews.csv", ["review", "helpful", "sentiment"], rows),
        "sentiment",
        "yes or no",
        (),
        {"review": "text"},
    )


def classes(at: Path, c: random.Random) -> Made:
    rows = [[n, c.gauss(n % 30, 2), c.gauss(n % 7, 1), f"group {n % 30:02d}"] for n in range(1500)]
    return Made(
        "classes", write_csv(at / "many.csv", ["id", "a", "b", "segment"], rows), "segment", "classes", ("id",), rows=1500
    )


def wide(at: Path, c: random.Random) -> Made:
    rows = [[f"g{n}", *(round(c.gauss(0, 1), 4) for _ in range(120)), round(c.gauss(0, 3), 3)] for n in range(300)]
    return Made(
        "wide",
        write_csv(at / "wide.csv", ["gene", *(f"x.{n}" for n in range(120)), "yield"], rows),
        "yield",
        "number",
        ("gene",),
        {"x_7": "float"},
        rows=300,
    )


def reserved(at: Path, c: random.Random) -> Made:
    header = ["batch_id", "prediction", "xmin", "limit", "Größe", "2nd", "a", "a", "select", "y"]
    rows = [[n, *(round(c.random(), 3) for _ in range(8)), round(c.random() * 50, 2)] for n in range(400)]
    return Made(
        "reserved",
        write_csv(at / "reserved.csv", header, rows),
        "y",
        "number",
        ("batch_id_of_source",),
        {"c_2nd": "float", "a_2": "float"},
    )


def unlabelled(at: Path, c: random.Random) -> Made:
    rows = [[n, c.random(), c.random(), "" if n > 350 else round(n % 40 + c.random(), 2)] for n in range(400)]
    return Made(
        "unlabelled",
        write_csv(at / "open.csv", ["id", "u", "v", "demand"], rows),
        "demand",
        "number",
        ("id",),
        says="is empty in 49 rows",
    )


def preamble(at: Path, c: random.Random) -> Made:
    path = at / "report.csv"
    lines = ["Monthly report;;", "made by hand", "", "shop;units;sales"]
    lines += [f"S{n:03d};{c.randint(1, 90)};{n % 50 + c.random():.2f}".replace(".", ",") for n in range(400)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return Made("preamble", str(path), "sales", "number", ("shop",), {"units": "int", "sales": "float"})


def headless(at: Path, c: random.Random) -> Made:
    path = at / "wine.data"
    path.write_text("".join(f"{n % 3 + 1},{n % 3 + c.gauss(12, 1):.2f},{c.gauss(2, 1):.2f}\n" for n in range(400)))
    return Made("headless", str(path), "column_1", "classes", (), {"column_2": "float"})
