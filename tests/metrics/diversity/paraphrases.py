"""Hand-made answers of six words or more: to each question, three meanings in two wordings each."""

ANSWERS: dict[str, tuple[tuple[str, str], ...]] = {
    "Give me one piece of advice for a happy life.": (
        ("Spend more time with the people you love.", "Make time for those you love, and spend it with them."),
        ("Sleep eight hours every night and get up early.", "Get up early, and give yourself eight hours of sleep."),
        (
            "Stop comparing yourself with other people.",
            "Do not measure yourself against others; quit comparing.",
        ),
    ),
    "Why is the sky blue?": (
        (
            "Air molecules scatter blue light more than red light.",
            "Blue light is scattered more strongly by the air than red light is.",
        ),
        ("Nobody really knows why the sky is blue.", "It is a mystery why the sky is blue; no one knows."),
        ("Because it reflects the colour of the sea.", "The sky takes its colour from the sea, by reflection."),
    ),
    "Write the first line of a story.": (
        (
            "The old sailor told nobody about the storm.",
            "The aged sailor never said a word to anyone about the storm.",
        ),
        (
            "On the morning of her wedding, Anna disappeared.",
            "Anna vanished on the very morning she was to be married.",
        ),
        (
            "There were three letters under the door that night.",
            "That night, three letters lay beneath the door.",
        ),
    ),
    "What should I cook tonight?": (
        ("You could make a vegetable curry with rice.", "How about rice with a curry made of vegetables?"),
        ("Roast a chicken with lemon and potatoes.", "Try roast chicken with potatoes and some lemon."),
        ("Just order a pizza and relax for once.", "Take it easy for once and have a pizza delivered."),
    ),
    "Name a good book and say why.": (
        (
            "Moby Dick, because it is about obsession at sea.",
            "I would say Moby Dick: it is a tale of obsession on the ocean.",
        ),
        (
            "Pride and Prejudice, for its wit and its heroine.",
            "Try Pride and Prejudice; it is witty, and its heroine is wonderful.",
        ),
        (
            "The Odyssey, since every journey home starts there.",
            "Read the Odyssey, because all journeys home begin with it.",
        ),
    ),
    "How do I get better at chess?": (
        ("Solve tactics puzzles every day for half an hour.", "Do half an hour of tactical puzzles daily."),
        ("Study endgames before you learn any openings.", "Learn the endgame first, and openings only afterwards."),
        ("Play long games and analyse the ones you lose.", "Analyse your losses, and play games that are slow."),
    ),
    "Should cities ban cars?": (
        (
            "Yes, because the air would be cleaner and streets safer.",
            "They should: streets would be safer and the air cleaner.",
        ),
        (
            "No, since many people cannot get to work without one.",
            "No; a lot of people need a car to reach their work.",
        ),
        ("Only in the centre, and only at the weekend.", "Just at weekends, and in the city centre only."),
    ),
    "What is the capital of Australia?": (
        ("The capital of Australia is Canberra.", "Canberra is the capital city of Australia."),
        ("The capital of Australia is Sydney.", "Sydney is the capital city of Australia."),
        ("I am sorry, but I cannot answer that question.", "Sorry, that is a question that I am unable to answer."),
    ),
    "Describe winter in one sentence.": (
        (
            "Snow covers the silent fields like a blanket.",
            "Like a blanket, the snow lies over quiet fields.",
        ),
        ("Winter is wet shoes and buses that never come.", "In winter your shoes are wet and no bus ever comes."),
        ("The lake froze and the children skated all day.", "All day children skated on the frozen lake."),
    ),
    "Tell me a fact about animals.": (
        ("An octopus has three hearts and blue blood.", "Octopuses have blue blood and three hearts."),
        ("Elephants can recognise themselves in a mirror.", "In a mirror, an elephant knows that it sees itself."),
        ("Sloths come down from their trees once a week.", "Once every week a sloth climbs down from its tree."),
    ),
    "What do you think of my poem?": (
        ("It is beautiful, and the last line moved me.", "Beautiful work; I was moved by the final line."),
        ("Honestly, it is a bunch of tired clichés.", "To be honest, it is full of worn-out clichés."),
        ("The rhythm is uneven in the second verse.", "In verse two the rhythm is not even."),
    ),
    "Where would you travel?": (
        ("I would go to Japan to see the temples in autumn.", "To Japan, in autumn, to look at the temples."),
        ("I would stay at home with a good book.", "Nowhere: I would rather be home with a good book."),
        ("I would hike across Iceland with a tent.", "With a tent, I would walk through all of Iceland."),
    ),
}
