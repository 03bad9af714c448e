# ruff: noqa: E501  (tables are wide)
"""Customers, patients, borrowers and those who answer a survey."""

from pathlib import Path

import numpy as np
import pandas as pd

from bench.strangers.made import Brought, Chance, emptied, pick, to_csv, yes


def telco(at: Path, c: Chance) -> Brought:
    n = 7000
    months, fee = c.integers(0, 73, n), c.uniform(18, 118, n).round(2)
    contract = pick(c, n, **{"Month-to-month": 55, "One year": 21, "Two year": 24})
    net = pick(c, n, DSL=34, **{"Fiber optic": 44, "No": 22})
    gone = yes(
        c, -1.9 + 1.3 * (contract == "Month-to-month") - 0.035 * months + 0.7 * (net == "Fiber optic") + 0.012 * (fee - 60)
    )
    known = pd.DataFrame({"gender": pick(c, n, Male=1, Female=1), "SeniorCitizen": c.integers(0, 2, n),
                          "Partner": pick(c, n, Yes=1, No=1), "tenure": months, "InternetService": net, "Contract": contract,
                          "MonthlyCharges": fee, "TotalCharges": (months * fee * c.uniform(0.97, 1.03, n)).round(2)})  # fmt: skip
    file = known.assign(TotalCharges=[" " if m == 0 else f"{t}" for m, t in zip(months, known.TotalCharges, strict=True)])
    file.insert(0, "customerID", [f"{k:04d}-{''.join(c.choice(list('ABCDEFGH'), 5))}" for k in c.permutation(n)])
    file["Churn"] = np.where(gone, "Yes", "No")
    return Brought(to_csv(file, at / "telco.csv"), "Churn", "yes or no", known, pd.Series(gone))


def income(at: Path, c: Chance) -> Brought:
    n = 12000
    age, years, hours = c.integers(17, 90, n), c.integers(3, 17, n), np.clip(c.normal(40, 12, n), 1, 99).astype(int)
    names = np.array([f"edu-{k}" for k in range(17)])
    work = pick(c, n, Private=70, **{"Self-emp": 8, "Local-gov": 6, "State-gov": 4, "?": 6})
    married = pick(c, n, **{"Married-civ-spouse": 46, "Never-married": 33, "Divorced": 21})
    gain = np.where(c.random(n) < 0.08, c.lognormal(8.5, 1, n), 0).astype(int)
    rich = yes(c, -9 + 0.035 * age + 0.36 * years + 0.03 * hours + 1.9 * (married == "Married-civ-spouse") + 0.0003 * gain)
    known = pd.DataFrame({"age": age, "workclass": work, "fnlwgt": c.integers(12000, 1_400_000, n), "education": names[years],
                          "education-num": years, "marital-status": married, "capital-gain": gain, "hours-per-week": hours})  # fmt: skip
    spaced = known.map(lambda value: f" {value}").assign(age=age)
    spaced["income"] = np.where(rich, " >50K", " <=50K")
    spaced.columns = [name if k == 0 else f" {name}" for k, name in enumerate(spaced.columns)]
    return Brought(to_csv(spaced, at / "adult.data.csv"), "income", "yes or no", known, pd.Series(rich))


def hospital(at: Path, c: Chance) -> Brought:
    n = 10000
    age, visits, code = c.integers(0, 10, n), c.poisson(0.6, n), c.choice([f"{k}.{k % 9}" for k in range(140, 460, 4)], n)
    days, drugs = 1 + c.poisson(3.4, n), c.poisson(15, n)
    worth = 0.45 * visits + 0.09 * age + 0.05 * days + c.gumbel(size=n) * 0.8
    again = np.select([worth > 2.6, worth > 1.6], ["<30", ">30"], "NO")
    known = pd.DataFrame({"race": pick(c, n, Caucasian=74, AfricanAmerican=19, **{"?": 4}), "age": age, "diag_1": code,
                          "time_in_hospital": days, "num_medications": drugs, "number_inpatient": visits,
                          "insulin": pick(c, n, No=5, Steady=3, Up=1, Down=1)})  # fmt: skip
    file = known.assign(age=[f"[{10 * a}-{10 * a + 10})" for a in age], weight="?", examide="No")
    file.insert(0, "encounter_id", 2_278_392 + np.cumsum(c.integers(1, 9000, n)))
    file.insert(1, "patient_nbr", c.integers(10_000, 99_999_999, n))
    file["readmitted"] = again
    return Brought(to_csv(file, at / "diabetic_data.csv"), "readmitted", "classes", known, pd.Series(again))


def stays(at: Path, c: Chance) -> Brought:
    n = 5000
    came = pd.Timestamp("2022-01-01") + pd.to_timedelta(c.integers(0, 365 * 1440, n), unit="min")
    urgent, age = c.random(n) < 0.4, np.clip(c.normal(58, 19, n), 0, 99).astype(int)
    ward = pick(c, n, Innere=4, Chirurgie=3, Geburtshilfe=2, Intensiv=1)
    days = np.exp(0.5 + 0.5 * urgent + 0.012 * age + 0.7 * (ward == "Intensiv") + c.normal(0, 0.5, n)).round(1) + 0.1
    known = pd.DataFrame({"admitted": came, "urgent": urgent, "age": age, "ward": ward})
    file = pd.DataFrame({"Fall-Nr.": [f"{k:08d}" for k in range(1, n + 1)], "Aufnahme": came.strftime("%d.%m.%Y %H:%M"),
                         "Notfall?": np.where(urgent, "J", "N"), "Alter": age, "Station": ward,
                         "Entlassung": (came + pd.to_timedelta(days, unit="D")).strftime("%d.%m.%Y %H:%M"),
                         "Liegedauer (Tage)": [f"{d:.1f}".replace(".", ",") for d in days]})  # fmt: skip
    source = to_csv(file, at / "fälle.csv", sep=";", encoding="latin-1")
    return Brought(source, "Liegedauer (Tage)", "number", known, pd.Series(days), leaks=("Entlassung",))


def loans(at: Path, c: Chance) -> Brought:
    n = 30000
    grade = c.integers(0, 7, n)
    rate, amount = (5.5 + 3 * grade + c.normal(0, 1, n)).round(2), c.integers(10, 400, n) * 100
    income_of, dti = c.lognormal(11, 0.5, n).round(), c.uniform(0, 40, n).round(2)
    job = emptied(c, c.choice(["< 1 year", "1 year", *[f"{k} years" for k in range(2, 10)], "10+ years"], n), 0.06, "n/a")
    bad = yes(c, -5.2 + 0.35 * grade + 0.03 * dti - 0.6 * (np.log(income_of) - 11) + 0.00002 * amount)
    known = pd.DataFrame({"loan_amnt": amount, "term": c.choice([36, 60], n), "int_rate": rate, "grade": grade, "emp_length": job,
                          "annual_inc": income_of, "dti": dti, "purpose": pick(c, n, debt=6, card=2, home=1, car=1)})  # fmt: skip
    file = known.assign(term=[f" {t} months" for t in known.term], int_rate=[f" {r:.2f}%" for r in rate],
                        grade=np.array(list("ABCDEFG"))[grade], issue_d=pd.to_datetime("2015-01-01").strftime("%b-%Y"))  # fmt: skip
    file.insert(0, "id", c.permutation(np.arange(1_000_000, 1_000_000 + n)))
    file["recoveries"] = np.where(bad, (amount * c.uniform(0.02, 0.3, n)).round(2), 0.0)
    file["loan_status"] = np.where(bad, "Charged Off", "Fully Paid")
    return Brought(to_csv(file, at / "loans.csv.gz"), "loan_status", "yes or no", known, pd.Series(bad), leaks=("recoveries",))


def survey(at: Path, c: Chance) -> Brought:
    n = 900
    words = ["strongly disagree", "disagree", "neutral", "agree", "strongly agree"]
    mood, pay = c.integers(0, 5, n), c.integers(0, 5, n)
    remote = pick(c, n, yes=5, no=4, NA=1)
    years = c.integers(0, 31, n)
    leaves = yes(c, 1.5 - 0.8 * mood - 0.4 * pay + 0.8 * (remote == "no"))
    known = pd.DataFrame({"mood": mood, "pay": pay, "remote": remote, "years": years})
    file = pd.DataFrame({"Unnamed: 0": np.arange(n), "Q1. I am happy 😀": np.array(words)[mood], "Q2. Gehalt passt": np.array(words)[pay],
                         "Remote?": remote, "Âge à l'entrée %": c.integers(18, 60, n), "years in job": years,
                         "comment": emptied(c, c.choice(["", "ok", "n/a", "none"], n), 0.5), "years.in.job": years,
                         "Quits": np.where(leaves, "Y", "N")})  # fmt: skip
    file.columns = [*file.columns[:6], "comment", "years in job", "Quits"]
    return Brought(to_csv(file, at / "survey 2024.csv"), "Quits", "yes or no", known, pd.Series(leaves))


def attrition(at: Path, c: Chance) -> Brought:
    n = 1470
    age, over, income_of = c.integers(18, 61, n), c.random(n) < 0.28, c.lognormal(8.6, 0.6, n).astype(int)
    level, far = c.integers(1, 6, n), c.integers(1, 30, n)
    gone = yes(c, -0.4 + 1.4 * over - 0.05 * (age - 30) - 0.5 * np.log(income_of / 5000) + 0.03 * far - 0.4 * level)
    known = pd.DataFrame({"Age": age, "OverTime": over, "MonthlyIncome": income_of, "JobLevel": level, "Distance": far})
    file = known.assign(OverTime=np.where(over, "Yes", "No"), EmployeeCount=1, Over18="Y", StandardHours=80,
                        EmployeeNumber=np.cumsum(c.integers(1, 4, n)))  # fmt: skip
    file.insert(1, "Attrition", np.where(gone, " yes", "no "))
    file.loc[c.random(n) < 0.3, "Attrition"] = file.Attrition.str.strip().str.title()
    return Brought(to_csv(file, at / "HR.csv"), "Attrition", "yes or no", known, pd.Series(gone))
