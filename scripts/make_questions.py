#!/usr/bin/env python3
"""Writes the project's own everyday questions with checkable answers, one JSON object a line.

    scripts/make_questions.py [--seed 7] [--per-cell 4] > policies/questions/everyday.jsonl

Each question has id, kind, level (1 easy .. 4 hard), template, question, answer and metric:
  number    the last number of the reply equals the answer
  contains  one of the accepted words or phrases stands in the reply as a whole word
  label     the first of `labels` that occurs in the reply equals the answer
  code      the reply, with white space removed, contains one of the accepted pieces

The same seed gives the same file. Only the standard library is used; facts stand in the tables below.
"""
import argparse
import datetime
import json
import random

CAPITALS = {
    1: [("France", "Paris"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Germany", "Berlin"), ("Japan", "Tokyo"),
        ("China", "Beijing"), ("Russia", "Moscow"), ("Egypt", "Cairo"), ("Greece", "Athens"), ("England", "London"),
        ("Austria", "Vienna"), ("Portugal", "Lisbon")],
    2: [("Norway", "Oslo"), ("Sweden", "Stockholm"), ("Finland", "Helsinki"), ("Poland", "Warsaw"), ("Hungary", "Budapest"),
        ("Thailand", "Bangkok"), ("Peru", "Lima"), ("Kenya", "Nairobi"), ("Cuba", "Havana"), ("Chile", "Santiago"),
        ("Denmark", "Copenhagen"), ("Ireland", "Dublin")],
    3: [("Uruguay", "Montevideo"), ("Latvia", "Riga"), ("Nepal", "Kathmandu"), ("Bulgaria", "Sofia"), ("Ghana", "Accra"),
        ("Mongolia", "Ulaanbaatar"), ("Senegal", "Dakar"), ("Jordan", "Amman"), ("Croatia", "Zagreb"), ("Ecuador", "Quito"),
        ("Slovenia", "Ljubljana"), ("Armenia", "Yerevan")],
    4: [("Kyrgyzstan", "Bishkek"), ("Burkina Faso", "Ouagadougou"), ("Vanuatu", "Port Vila"), ("Lesotho", "Maseru"),
        ("Suriname", "Paramaribo"), ("Comoros", "Moroni"), ("Palau", "Ngerulmud"), ("Bhutan", "Thimphu"),
        ("Eritrea", "Asmara"), ("Tuvalu", "Funafuti"), ("Gabon", "Libreville"), ("Djibouti", "Djibouti")],
}
FACTS = {
    1: [("What is the largest planet of the solar system?", ["Jupiter"]), ("Which planet is closest to the sun?", ["Mercury"]),
        ("What gas do people need to breathe to live?", ["oxygen"]), ("What is frozen water called?", ["ice"]),
        ("How many legs does a spider have?", ["8", "eight"]), ("What color do you get by mixing blue and yellow?", ["green"]),
        ("Who wrote the play Hamlet?", ["Shakespeare"]), ("Which animal is known as man's best friend?", ["dog", "dogs"]),
        ("How many continents are there on Earth?", ["7", "seven"]), ("What do bees make?", ["honey"]),
        ("Which star is at the center of the solar system?", ["sun"]), ("In which season do leaves usually fall from trees?", ["autumn", "fall"])],
    2: [("What is the chemical symbol of gold?", ["Au"]), ("Who painted the Mona Lisa?", ["Leonardo", "Vinci"]),
        ("Which ocean lies between Europe and North America?", ["Atlantic"]), ("What is the hardest natural substance?", ["diamond"]),
        ("Who developed the theory of relativity?", ["Einstein"]), ("What is the largest mammal?", ["blue whale", "whale"]),
        ("Which metal is liquid at room temperature?", ["mercury"]), ("How many players of one team are on the field in soccer?", ["11", "eleven"]),
        ("What is the longest river of South America?", ["Amazon"]), ("Which organ pumps blood through the body?", ["heart"]),
        ("In which country are the pyramids of Giza?", ["Egypt"]), ("What is the chemical formula of table salt?", ["NaCl"])],
    3: [("In what year did the Titanic sink?", ["1912"]), ("Who wrote the novel Crime and Punishment?", ["Dostoevsky", "Dostoyevsky"]),
        ("What is the atomic number of carbon?", ["6", "six"]), ("Which scientist discovered penicillin?", ["Fleming"]),
        ("In what year did the Berlin Wall fall?", ["1989"]), ("What is the smallest prime number greater than 20?", ["23"]),
        ("Who composed the opera The Magic Flute?", ["Mozart"]), ("What is the currency of Switzerland?", ["franc", "francs", "CHF"]),
        ("Which element has the chemical symbol W?", ["tungsten", "wolfram"]), ("Who was the first person to walk on the moon?", ["Armstrong"]),
        ("Which planet has the moon Titan?", ["Saturn"]), ("What is the capital of Australia?", ["Canberra"])],
    4: [("What is the atomic number of tungsten?", ["74"]), ("In what year was the Peace of Westphalia signed?", ["1648"]),
        ("Who wrote the novel The Master and Margarita?", ["Bulgakov"]), ("What is the deepest lake on Earth?", ["Baikal"]),
        ("Which mathematician proved the incompleteness theorems?", ["Godel", "G\u00f6del", "Goedel"]), ("What is the second highest mountain on Earth?", ["K2", "Godwin-Austen"]),
        ("In what year did the Battle of Lepanto take place?", ["1571"]), ("Who composed The Rite of Spring?", ["Stravinsky"]),
        ("Which element has atomic number 79?", ["gold"]), ("What is the largest moon of Neptune?", ["Triton"]),
        ("Who painted The Garden of Earthly Delights?", ["Bosch"]), ("In which city is the Hermitage Museum?", ["Petersburg"])],
}
WORDS = {
    "Spanish": [("house", "casa"), ("water", "agua"), ("dog", "perro"), ("book", "libro"), ("bread", "pan"), ("milk", "leche"),
                ("butterfly", "mariposa"), ("bridge", "puente"), ("window", "ventana"), ("spoon", "cuchara"), ("key", "llave"), ("rain", "lluvia")],
    "French": [("house", "maison"), ("water", "eau"), ("dog", "chien"), ("book", "livre"), ("bread", "pain"), ("milk", "lait"),
               ("butterfly", "papillon"), ("bridge", "pont"), ("tree", "arbre"), ("cheese", "fromage"), ("key", "cl\u00e9"), ("rain", "pluie")],
    "German": [("house", "Haus"), ("water", "Wasser"), ("dog", "Hund"), ("book", "Buch"), ("bread", "Brot"), ("milk", "Milch"),
               ("butterfly", "Schmetterling"), ("bridge", "Br\u00fccke"), ("tree", "Baum"), ("spoon", "L\u00f6ffel"), ("key", "Schl\u00fcssel"), ("rain", "Regen")],
    "Italian": [("house", "casa"), ("water", "acqua"), ("dog", "cane"), ("book", "libro"), ("bread", "pane"), ("milk", "latte"),
                ("butterfly", "farfalla"), ("bridge", "ponte"), ("tree", "albero"), ("spoon", "cucchiaio"), ("key", "chiave"), ("rain", "pioggia")],
}
OPPOSITES = [("hot", ["cold"]), ("big", ["small", "little"]), ("fast", ["slow"]), ("happy", ["sad", "unhappy"]), ("full", ["empty"]),
             ("early", ["late"]), ("strong", ["weak"]), ("open", ["closed", "close", "shut"]), ("rich", ["poor"]), ("wet", ["dry"]),
             ("ancient", ["modern", "new"]), ("generous", ["stingy", "selfish", "greedy", "mean", "miserly"]), ("expand", ["contract", "shrink"]),
             ("victory", ["defeat", "loss"]), ("rough", ["smooth"]), ("arrival", ["departure"])]
CLASSES = {
    "animal": ["horse", "eagle", "salmon", "beetle", "otter", "lizard"],
    "fruit": ["apple", "banana", "mango", "pear", "apricot", "papaya"],
    "vehicle": ["truck", "bicycle", "tram", "ferry", "scooter", "van"],
    "tool": ["hammer", "saw", "wrench", "chisel", "pliers", "screwdriver"],
}
GOOD = ["I love this phone, it works perfectly.", "What a wonderful meal, we will come back!", "The staff was kind and quick.",
        "Best purchase I have made this year.", "The book kept me smiling to the last page.", "My daughter adores her new bike.",
        "Everything arrived early and in great shape.", "The room was spotless and quiet."]
BAD = ["The screen broke after two days and nobody helped.", "Terrible service, we waited an hour.", "I regret buying this blender.",
       "The food was cold and tasted of nothing.", "Boring from the first page to the last.", "The bike fell apart within a week.",
       "The package came late and was damaged.", "The room was dirty and loud."]
MIXED_GOOD = ["I expected little, yet it turned out better than anything I owned before.", "Not bad at all, I would buy it again.",
              "The wait was long, but every minute was worth it.", "I could not find a single thing to complain about.",
              "After the first doubts, I am thrilled with it.", "Hardly a day goes by without me enjoying it."]
MIXED_BAD = ["It looks great, but it stopped working when I needed it most.", "I wish I could say it was worth the money.",
             "So much praise, and yet it left me cold.", "The only good thing about the trip was going home.",
             "I would not recommend it even to people I dislike.", "It was fine until the moment I turned it on."]
NAMES = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jonas", "Karin", "Leo", "Mara", "Nils"]
ITEMS = ["apples", "pencils", "tickets", "stamps", "marbles", "cookies", "cups", "books"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def number(text, value):
    return {"question": text, "answer": str(value), "metric": "number"}


def contains(text, accepted):
    return {"question": text, "answer": accepted, "metric": "contains"}


def label(text, labels, answer):
    return {"question": text, "answer": answer, "labels": labels, "metric": "label"}


def addition(rng, level, t):
    digits = {1: (2, 20), 2: (21, 99), 3: (120, 999), 4: (12000, 99999)}[level]
    a, b = rng.randint(*digits), rng.randint(*digits)
    return number([f"What is {a} + {b}?", f"Add {a} and {b}. Reply with the number only.",
                   f"Compute the sum of {a} and {b}."][t], a + b)


def subtraction(rng, level, t):
    digits = {1: (2, 20), 2: (21, 99), 3: (120, 999), 4: (12000, 99999)}[level]
    a, b = sorted((rng.randint(*digits), rng.randint(*digits)), reverse=True)
    return number([f"What is {a} - {b}?", f"Subtract {b} from {a}. Reply with the number only.",
                   f"How much is {a} minus {b}?"][t], a - b)


def multiplication(rng, level, t):
    a, b = {1: lambda: (rng.randint(2, 9), rng.randint(2, 9)), 2: lambda: (rng.randint(11, 19), rng.randint(3, 9)),
            3: lambda: (rng.randint(21, 99), rng.randint(12, 99)), 4: lambda: (rng.randint(211, 999), rng.randint(112, 999))}[level]()
    return number([f"What is {a} * {b}?", f"Multiply {a} by {b}. Reply with the number only.",
                   f"How much is {a} times {b}?"][t], a * b)


def percentage(rng, level, t):
    p, n = {1: lambda: (50, 2 * rng.randint(2, 50)), 2: lambda: (10 * rng.randint(1, 9), 10 * rng.randint(2, 20)),
            3: lambda: (5 * rng.randint(1, 19), 20 * rng.randint(6, 60)), 4: lambda: (rng.randint(11, 89), 100 * rng.randint(12, 90))}[level]()
    return number([f"What is {p}% of {n}?", f"Calculate {p} percent of {n}.",
                   f"A bill is {n} dollars. How many dollars are {p}% of it?"][t], p * n // 100)


def word_problem(rng, level, t):
    who, other, item = rng.choice(NAMES), rng.choice(NAMES), rng.choice(ITEMS)
    while other == who:
        other = rng.choice(NAMES)
    if level == 1:
        a, b = rng.randint(3, 9), rng.randint(2, 9)
        text, value = [(f"{who} has {a} {item} and gets {b} more. How many {item} does {who} have now?", a + b),
                       (f"There are {a + b} {item} in a box. {who} takes {b}. How many are left?", a),
                       (f"{who} has {a} {item} and {other} has {b}. How many do they have together?", a + b)][t]
    elif level == 2:
        a, b, c = rng.randint(4, 12), rng.randint(3, 9), rng.randint(2, 10)
        text, value = [(f"{who} buys {a} boxes with {b} {item} each. How many {item} is that?", a * b),
                       (f"{a * b} {item} are shared equally by {a} children. How many does each get?", b),
                       (f"{who} has {a + b} {item}, gives {b} to {other} and finds {c}. How many does {who} have?", a + c)][t]
    elif level == 3:
        a, b, c = rng.randint(6, 15), rng.randint(4, 12), rng.randint(5, 30)
        text, value = [(f"{who} buys {a} packs of {b} {item} and gives away {c}. How many {item} are left?", a * b - min(c, a * b)),
                       (f"A ticket costs {a} dollars for adults and {b} for children. What do {2} adults and {c} children pay in dollars?", 2 * a + c * b),
                       (f"{who} saves {a} dollars a week for {b} weeks and then spends {c} dollars. How many dollars are left?", a * b - c)][t]
    else:
        a, b, c, d = rng.randint(12, 35), rng.randint(6, 18), rng.randint(3, 9), rng.randint(2, 6)
        text, value = [(f"A train goes {a * 4} km in 4 hours, then {b * 3} km in 3 hours. How many km does it go in all if it then keeps its last speed for {c} more hours?", a * 4 + b * 3 + b * c),
                       (f"{who} reads {a} pages a day for {b} days, {other} reads {c} pages a day less for {d} days more. How many pages do they read in all?", a * b + (a - c) * (b + d)),
                       (f"A shop sells {a} {item} on Monday, {b} more on Tuesday, and {d} times as many as on Tuesday on Wednesday. How many does it sell in the three days?", a + (a + b) + d * (a + b))][t]
    return number(text, value)


def dates(rng, level, t):
    day = rng.choice(DAYS)
    month = rng.choice(MONTHS)
    if level == 1:
        text, value = [(f"Which day comes after {day}?", DAYS[(DAYS.index(day) + 1) % 7]),
                       (f"Which month comes right after {month}?", MONTHS[(MONTHS.index(month) + 1) % 12]),
                       (f"Which day comes before {day}?", DAYS[(DAYS.index(day) - 1) % 7])][t]
    elif level == 2:
        n = rng.randint(2, 6)
        text, value = [(f"Today is {day}. What day of the week is it in {n} days?", DAYS[(DAYS.index(day) + n) % 7]),
                       (f"It is {month} now. Which month is it in {n} months?", MONTHS[(MONTHS.index(month) + n) % 12]),
                       (f"Today is {day}. What day of the week was it {n} days ago?", DAYS[(DAYS.index(day) - n) % 7])][t]
    elif level == 3:
        n = rng.randint(9, 40)
        text, value = [(f"Today is {day}. What day of the week is it in {n} days?", DAYS[(DAYS.index(day) + n) % 7]),
                       (f"It is {month} now. Which month is it in {n} months?", MONTHS[(MONTHS.index(month) + n) % 12]),
                       (f"Today is {day}. What day of the week was it {n} days ago?", DAYS[(DAYS.index(day) - n) % 7])][t]
    else:
        date = datetime.date(rng.randint(1950, 2030), rng.randint(1, 12), rng.randint(1, 28))
        span = rng.randint(20, 300)
        later = date + datetime.timedelta(days=span)
        if t == 2:
            return number(f"How many days are there from {date.isoformat()} to {later.isoformat()}?", span)
        text, value = [(f"On which day of the week was {date.strftime('%B')} {date.day}, {date.year}?", DAYS[date.weekday()]),
                       (f"Which month is it {span} days after {date.isoformat()}?", MONTHS[later.month - 1])][t]
    return contains(text, [value])


UNITS = {
    1: [("hours", "minutes", 60), ("meters", "centimeters", 100), ("kilograms", "grams", 1000)],
    2: [("kilometers", "meters", 1000), ("days", "hours", 24), ("weeks", "days", 7)],
    3: [("hours", "seconds", 3600), ("days", "minutes", 1440), ("square meters", "square centimeters", 10000)],
    4: [("weeks", "minutes", 10080), ("days", "seconds", 86400), ("cubic meters", "cubic centimeters", 1000000)],
}


def units(rng, level, t):
    big, small, factor = rng.choice(UNITS[level])
    n = rng.randint(2, 9) if level < 3 else rng.randint(3, 25)
    return number([f"How many {small} are {n} {big}?", f"Convert {n} {big} to {small}. Reply with the number only.",
                   f"{n} {big} equal how many {small}?"][t], n * factor)


def extraction(rng, level, t):
    who, city, day = rng.choice(NAMES), rng.choice([c for _, c in CAPITALS[1] + CAPITALS[2]]), rng.choice(DAYS)
    price, hour, room = rng.randint(12, 480), rng.randint(8, 19), rng.randint(101, 899)
    base = f"{who} will fly to {city} on {day}; the ticket costs {price} dollars and the meeting starts at {hour}:30 in room {room}."
    if level >= 3:
        other = rng.choice([n for n in NAMES if n != who])
        base = (f"{other} wanted to go on {DAYS[(DAYS.index(day) + 2) % 7]} for {price + 37} dollars but stays home. " + base +
                f" The hotel is {price + 55} dollars, and breakfast ends at {hour - 1}:15.")
    asks = {1: [("Who will fly?", [who]), ("To which city?", [city]), ("On which day of the week?", [day])],
            2: [("What is the room number?", [str(room)]), ("What does the ticket cost in dollars?", [str(price)]), ("When does the meeting start?", [f"{hour}:30"])],
            3: [("Who will fly?", [who]), ("On which day of the week is the flight?", [day]), ("What is the room number?", [str(room)])],
            4: [("What do ticket and hotel cost together, in dollars?", None), ("What does the flight that was really booked cost in dollars?", [str(price)]),
                ("How many dollars more is the hotel than the ticket?", None)]}
    ask, accepted = asks[level][t]
    text = f"Read this: {base} {ask} Answer with one word or number."
    if accepted is None:
        return number(text, price + price + 55 if t == 0 else 55)
    return contains(text, accepted)


def sentiment(rng, level, t):
    positive = rng.random() < 0.5
    if level <= 2:
        review = " ".join(rng.sample(GOOD if positive else BAD, level))
    else:
        review = " ".join(rng.sample(MIXED_GOOD if positive else MIXED_BAD, level - 2))
    text = [f"Is this review positive or negative? \"{review}\" Answer with one word.",
            f"Classify the sentiment as positive or negative: {review}",
            f"Review: {review}\nSentiment (positive or negative):"][t]
    return label(text, ["positive", "negative"], "positive" if positive else "negative")


def translation(rng, level, t):
    language = rng.choice(sorted(WORDS))
    half = WORDS[language][:6] if level in (1, 3) else WORDS[language][6:]
    english, foreign = rng.choice(half)
    if level <= 2:
        return contains([f"Translate the word \"{english}\" into {language}.", f"What is \"{english}\" in {language}? One word.",
                         f"How do you say \"{english}\" in {language}?"][t], [foreign, foreign.lower()])
    return contains([f"Translate the {language} word \"{foreign}\" into English.", f"What does \"{foreign}\" mean in English? One word.",
                     f"Which English word is \"{foreign}\" ({language})?"][t], [english])


def capital(rng, level, t):
    country, city = rng.choice(CAPITALS[level])
    return contains([f"What is the capital of {country}?", f"Name the capital city of {country}.",
                     f"{country}: which city is its capital?"][t], [city])


def fact(rng, level, t):
    text, accepted = rng.choice(FACTS[level])
    return contains([text, text + " Answer in one word or number.", "Question: " + text][t], accepted)


def opposite(rng, level, t):
    word, accepted = rng.choice(OPPOSITES[(level - 1) * 4:level * 4])
    return contains([f"What is the opposite of \"{word}\"?", f"Give an antonym of {word}. One word.",
                     f"Complete: the opposite of {word} is"][t], accepted)


def category(rng, level, t):
    kinds = sorted(CLASSES)
    answer = rng.choice(kinds)
    words = rng.sample(CLASSES[answer], 1)
    if level >= 2:
        wrong = rng.choice([k for k in kinds if k != answer])
        odd = rng.choice(CLASSES[wrong])
        group = rng.sample(CLASSES[answer], min(2 + level, 5)) + [odd]
        rng.shuffle(group)
        return label([f"Which word does not belong: {', '.join(group)}?", f"Find the odd one out: {', '.join(group)}. Reply with that word only.",
                      f"One of these is not like the others: {', '.join(group)}. Which?"][t], group, odd)
    return label([f"Is \"{words[0]}\" an {', '.join(kinds)}? Answer with one of these words.", f"Classify {words[0]} as one of: {', '.join(kinds)}.",
                  f"{words[0].capitalize()} is a kind of (choose one): {', '.join(kinds)}"][t], kinds, answer)


def comparison(rng, level, t):
    if level <= 2:
        numbers = rng.sample(range(1, 100 if level == 1 else 10000), 2 + level)
        want = max(numbers) if t != 1 else min(numbers)
        shown = ", ".join(map(str, numbers))
        return label([f"Which is the largest: {shown}? Reply with it only.", f"Which is the smallest: {shown}? Reply with it only.",
                      f"Pick the biggest number from {shown}. Reply with it only."][t], [str(n) for n in numbers], str(want))
    base = rng.randint(1, 20)
    parts = rng.sample([1, 9, 11, 19, 2, 21, 3, 31, 45, 5], 2 if level == 3 else 4)
    numbers = [f"{base}.{p}" for p in parts]
    want = (max if t != 1 else min)(numbers, key=float)
    shown = ", ".join(numbers)
    return label([f"Which is the largest: {shown}? Reply with it only.", f"Which is the smallest: {shown}? Reply with it only.",
                  f"Pick the biggest number from {shown}. Reply with it only."][t], numbers, want)


def letters(rng, level, t):
    words = {1: ["cat", "sun", "tree", "book"], 2: ["banana", "orange", "window", "summer"],
             3: ["strawberry", "committee", "elephant", "mississippi"], 4: ["bookkeeper", "antidisestablishment", "onomatopoeia", "incomprehensibility"]}[level]
    word = rng.choice(words)
    letter = rng.choice(sorted(set(word)))
    if t == 0:
        return number(f"How many letters does the word \"{word}\" have?", len(word))
    if t == 1:
        return number(f"How many times does the letter \"{letter}\" occur in \"{word}\"? Reply with the number only.", word.count(letter))
    return contains(f"Write the word \"{word}\" backwards.", [word[::-1]])


def sequence(rng, level, t):
    start, step = rng.randint(1, 20), rng.randint(2, 9)
    rows = {1: [start + step * i for i in range(6)], 2: [start * 2 ** i for i in range(6)],
            3: [start + i * i + step * i for i in range(6)], 4: None}[level]
    if rows is None:
        rows = [start, step]
        while len(rows) < 7:
            rows.append(rows[-1] + rows[-2] + (t == 2))
    shown = ", ".join(map(str, rows[:-1]))
    return number([f"What number comes next: {shown}, ...?", f"Continue the sequence with one number: {shown}",
                   f"{shown}, ? Reply with the next number only."][t], rows[-1])


def code_output(rng, level, t):
    xs = rng.sample(range(1, 30), 4)
    word = rng.choice(["nearfar", "lantern", "orchard", "compass"])
    n = rng.randint(3, 9)
    rows = {1: [(f"print({n} + {n})", n + n), (f"print(len(\"{word}\"))", len(word)), (f"print(max({xs}))", max(xs))],
            2: [(f"print(sum({xs}))", sum(xs)), (f"print({xs}[1])", xs[1]), (f"print({n} ** 2)", n * n)],
            3: [(f"print(sum(x for x in {xs} if x % 2 == 0))", sum(x for x in xs if x % 2 == 0)), (f"print(sorted({xs})[-2])", sorted(xs)[-2]),
                (f"print(len([x for x in range({n * 7}) if x % {n} == 0]))", 7)],
            4: [(f"print(sum(i * x for i, x in enumerate({xs})))", sum(i * x for i, x in enumerate(xs))), (f"print(int(\"{bin(xs[0] + 32)[2:]}\", 2) ^ {n})", (xs[0] + 32) ^ n),
                (f"print(sum(divmod({xs[0] * 37 + 11}, {n})))", sum(divmod(xs[0] * 37 + 11, n)))]}
    line, value = rows[level][t]
    return number(f"What does this line of Python print? `{line}` Reply with the output only.", value)


CODE = {
    1: [("the length of a list xs", ["len(xs)"]), ("the sum of a list xs", ["sum(xs)"]), ("the largest element of a list xs", ["max(xs)", "sorted(xs)[-1]"])],
    2: [("a string s reversed", ["s[::-1]", "''.join(reversed(s))", "\"\".join(reversed(s))"]), ("a string s in upper case", ["s.upper()"]),
        ("the last element of a list xs", ["xs[-1]", "xs[len(xs)-1]"])],
    3: [("a list of the squares of the numbers in xs", ["x**2forxinxs", "x*xforxinxs", "lambdax:x**2,xs", "lambdax:x*x,xs", "i**2foriinxs", "num**2fornuminxs"]),
        ("the number of distinct elements of a list xs", ["len(set(xs))"]), ("the words of a string s joined by single commas", ["','.join(s.split())", "\",\".join(s.split())"])],
    4: [("a dict that maps each word of a list ws to its length", ["w:len(w)forwinws", "word:len(word)forwordinws", "dict(zip(ws,map(len,ws)))"]),
        ("the transpose of a list of rows m", ["zip(*m)"]), ("the most frequent element of a list xs, with the standard library", ["max(set(xs),key=xs.count)", "Counter(xs).most_common(1)", "mode(xs)"])],
}


def code_write(rng, level, t):
    what, accepted = rng.choice(CODE[level])
    text = [f"Write a one-line Python expression for {what}.", f"Give Python code, one expression only, that computes {what}.",
            f"In Python, how do I get {what}? One expression."][t]
    return {"question": text, "answer": accepted, "metric": "code"}


KINDS = [addition, subtraction, multiplication, percentage, word_problem, dates, units, extraction, sentiment, translation,
         capital, fact, opposite, category, comparison, letters, sequence, code_output, code_write]
TEMPLATES = 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--per-cell", type=int, default=4, help="questions a kind and level, at most")
    options = parser.parse_args()
    seen = set()
    for kind in KINDS:
        for level in (1, 2, 3, 4):
            made, tries = 0, 0
            while made < options.per_cell and tries < 40 * options.per_cell:
                template = tries % TEMPLATES
                tries += 1
                rng = random.Random(f"{options.seed}/{kind.__name__}/{level}/{tries}")
                row = kind(rng, level, template)
                if row["question"] in seen:
                    continue
                seen.add(row["question"])
                made += 1
                print(json.dumps({"id": f"{kind.__name__}-{level}-{made:02d}", "kind": kind.__name__, "level": level,
                                  "template": f"{kind.__name__}/{template}", **row}, ensure_ascii=False))


if __name__ == "__main__":
    main()
