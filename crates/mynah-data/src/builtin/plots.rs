//! The plots of the small stories: for each step of a plot the templates it may be told with.
//!
//! Slots: the hero (`name he him his kind adj home`), the friend (`friend fhe fhim fhis fkind fadj`), the thing
//! (`obj oadj color`), where things happen (`spot place`), and what is eaten (`food`). Every plot names the
//! hero's kind and the thing, for these are what a reader asks a story about.

/// A plot: its steps, in order, each with alternatives.
pub type Plot = &'static [&'static [&'static str]];

/// How a story begins. All plots share it.
pub const BEGINNINGS: &[&str] = &[
    "[Once upon a time|Long ago|Once|One summer|One spring], there was {a adj} {kind} named {name}. {He} lived {home}.",
    "[Once upon a time|Long ago|Once], {a adj} {kind} named {name} lived {home}.",
    "{name} was {a adj} {kind} who lived {home}.",
    "There [was once|once was] {a adj} {kind} [named|called] {name}. {His} home was {home}.",
    "{Home}, there lived {a adj} {kind} named {name}.",
    "This is a story about {a kind} named {name}. {He} was [very|always|so] {adj}, and {he} lived {home}.",
];

/// A pause for the weather or the mood; may stand after the beginning.
pub const MOODS: &[&str] = &[
    "The [sun was warm|sky was blue|wind was soft|air was cool] and the [birds sang|flowers were open|grass was green].",
    "Every [morning|evening], {he} [sang a little song|looked at the sky|swept the floor|watched the clouds].",
    "{He} [loved|liked] [to sing|to run|to read|to dance|to sit in the sun|to look at the stars] and to eat {food}.",
    "It was a [cold|warm|quiet|windy|rainy|sunny] [morning|evening|day].",
    "Everyone [knew {him}|liked {him}], because {he} was [kind|friendly|funny|gentle].",
];

/// How a story ends. All plots share it.
pub const ENDINGS: &[&str] = &[
    "From that day on, {name} and {friend} were [best friends|good friends|never apart].",
    "[That night|That evening], {name} went to bed [with a smile|happy and tired|with a warm heart].",
    "And [so|from then on], {name} and {friend} [played together every day|shared everything|met every morning].",
    "{name} never forgot [that day|what {friend} had done|how kind {friend} had been].",
    "Then they [ate|shared] some {food} and [laughed|sang] until the [sun went down|moon came up|stars came out].",
    "{name} learned that [a good friend is the best gift|it is good to ask for help|kind words can change a day].",
    "\"[What a wonderful day|What a day|I am so happy],\" said {name}, and {friend} [smiled|nodded|laughed].",
];

/// All plots.
pub const PLOTS: &[Plot] = &[LOST, FOUND, STORM, GIFT, QUARREL, AFRAID, MAKING, JOURNEY, RIVER, SECRET];

const MEETING: &[&str] = &[
    "Just then, {a fadj} {fkind} named {friend} came by.",
    "[On the way|Near the path|Behind a tree|By the road], {he} met {a fkind} named {friend}.",
    "{A fkind} named {friend} [heard {him}|saw {him}] and came closer.",
    "Soon {he} met {friend}, {a fadj} {fkind}.",
    "{friend}, {a fadj} {fkind} from [the village|the hill|the forest|next door], [saw {him}|came to look].",
];

const WHAT_IS_WRONG: &[&str] = &[
    "\"[What is wrong|Why are you sad|What happened]?\" asked {friend}.",
    "\"Why do you look so [sad|worried]?\" {fhe} asked.",
    "\"[Hello|Good day]. Can I help you?\" [asked {friend}|{fhe} asked].",
];

const LOST: Plot = &[
    &[
        "{He} had {a oadj} {obj} that {he} loved [very much|more than anything].",
        "{His} [favorite thing|greatest treasure] was {a oadj} {obj}.",
        "{name} took {his} {obj} [everywhere|with {him} every day]. It was {oadj} and {color}.",
    ],
    &[
        "One [day|morning|evening], the {obj} was gone.",
        "But one [day|morning], {he} could not find the {obj}.",
        "One [day|morning], {name} [lost the {obj}|woke up and the {obj} was gone].",
    ],
    &[
        "{He} looked [under the bed|behind the door|in the garden] and {spot}, but it was not there.",
        "{name} looked everywhere. {He} was very sad.",
        "{name} [sat down and cried|did not know what to do|felt very sad].",
    ],
    MEETING,
    WHAT_IS_WRONG,
    &[
        "\"I lost my {obj},\" said {name}.",
        "\"My {obj} is gone,\" {name} [said|answered] [quietly|sadly].",
        "\"I cannot find my {obj},\" {name} [said|answered].",
    ],
    &[
        "\"[Do not worry|Do not cry]. We can look together,\" said {friend}.",
        "\"[Let us look for it|I will help you find it],\" {friend} said.",
        "\"Two [friends|pairs of eyes] see more than one,\" said {friend}.",
    ],
    &[
        "They [looked and looked|searched all day|walked a long way]. At last, they found the {obj} {spot}.",
        "They went {place}, and there was the {obj}, {spot}.",
        "After a [while|long walk], {friend} saw something {color} {spot}. It was the {obj}!",
    ],
    &[
        "\"Thank you so much!\" said {name}.",
        "{name} [hugged|thanked] {friend} and [danced|jumped] with joy.",
        "{name} was so happy that {he} [laughed|sang|jumped] out loud.",
    ],
];

const FOUND: Plot = &[
    &[
        "One [day|morning|evening], {name} found {a oadj} {obj} {spot}.",
        "One [day|morning], {he} walked {place} and saw {a oadj} {obj} {spot}.",
        "[While {he} was playing|When {he} went for a walk] {place}, {name} found {a obj}. It was {oadj}.",
    ],
    &[
        "\"Whose {obj} is this?\" {he} [asked|wondered].",
        "{He} wanted to keep it, but {he} knew that it was not {his} own.",
        "\"Someone must miss this {obj},\" {he} thought.",
    ],
    &[
        "{name} asked [the baker, but the baker|the farmer, but the farmer|the teacher, but the teacher] did not know.",
        "{He} carried the {obj} from [door to door|house to house].",
        "{He} put the {obj} in {his} bag and went [to the village|down the road|over the hill].",
    ],
    &[
        "[At last|Then|After a while], {he} met {a fkind} named {friend}, who looked very sad.",
        "{He} went {place}. There {a fadj} {fkind} named {friend} was [crying|looking at the ground].",
    ],
    &[
        "\"I have lost my {obj},\" said {friend}. \"It was a gift from my [mother|father|grandmother].\"",
        "\"Have you seen my {obj}?\" asked {friend}. \"I lost it [yesterday|this morning|last night].\"",
    ],
    &[
        "\"[Here it is|I found it],\" said {name}, and gave the {obj} to {friend}.",
        "{name} [smiled|laughed] and held out the {obj}. \"[Is this it|Is it this one]?\"",
    ],
    &[
        "\"Yes! Thank you!\" said {friend}. {Fhe} was so happy.",
        "{friend} [jumped|danced] with joy and gave {name} some {food}.",
        "{friend} [hugged|thanked] {him} again and again.",
    ],
];

const STORM: Plot = &[
    &[
        "One [day|evening|night], a big storm came. The wind [blew|howled] and the rain [fell|came down] hard.",
        "One [day|evening|night], the sky turned dark and it began to [rain|snow|storm].",
    ],
    &[
        "{name} [sat by the window|closed the door|made a fire] and held {his} {oadj} {obj}.",
        "{name} was at home with {his} {oadj} {obj}.",
        "{He} was glad to be inside with {his} {color} {obj}.",
    ],
    &[
        "Then {he} heard a [knock|small voice|cry] at the door.",
        "Then someone knocked at the door. Knock, knock!",
    ],
    &[
        "It was {a fkind} named {friend}. {Fhe} was wet and cold.",
        "{A fadj} {fkind} named {friend} stood outside in the [rain|wind|cold].",
    ],
    &[
        "\"[Please let me in|May I come in],\" said {friend}. \"I [lost my way|cannot find my home].\"",
        "\"[I am so cold|My house is far away],\" said {friend}. \"May I stay here?\"",
    ],
    &[
        "\"Come in,\" said {name}. {He} gave {friend} some [warm|hot] {food} and a blanket.",
        "\"Of course,\" said {name}. They sat by the fire and ate {food}.",
    ],
    &[
        "To cheer {fhim} up, {name} showed {friend} the {obj}.",
        "{friend} liked the {obj}, and they played with it all evening.",
        "{name} told a funny story about the {obj}, and {friend} laughed.",
    ],
    &[
        "In the morning, the storm was over and the sun [was shining|came out].",
        "Soon the rain stopped and the sky was [blue|clear|bright] again.",
    ],
];

const GIFT: Plot = &[
    &[
        "Tomorrow was the birthday of {friend}, {a fadj} {fkind}.",
        "{name} had a friend, {a fkind} named {friend}. Soon it was {fhis} birthday.",
        "{name} and {friend}, {a fadj} {fkind}, were friends. One day, {friend} was [sick|sad] and had to stay in bed.",
    ],
    &[
        "{name} wanted to give {fhim} something [special|nice|beautiful].",
        "\"What can I give to {friend}?\" {name} [asked|wondered].",
    ],
    &[
        "{He} went to the market and saw {a oadj} {obj}, but {he} had no money.",
        "In a shop {he} saw {a oadj} {obj}. It cost [three|five|seven|ten] coins, and {he} had only two.",
    ],
    &[
        "So {name} helped the [baker|farmer|gardener|old woman] all day and [earned|got] [enough money|some coins].",
        "So {he} worked hard. {He} [carried water|swept the yard|picked apples|cut wood] until the sun went down.",
    ],
    &[
        "Then {he} bought the {obj} and put it in a [red|blue|green|big|small] box.",
        "At last {he} could buy the {obj}. {He} carried it home very carefully.",
    ],
    &[
        "When {friend} opened the box, {fhis} eyes [shone|grew big].",
        "\"This is for you,\" said {name}. {friend} looked at the {obj} and smiled.",
    ],
    &[
        "\"{A oadj} {obj}! [How wonderful|How beautiful|Thank you so much]!\" said {friend}.",
        "\"It is the best gift in the world,\" {friend} said.",
    ],
];

const QUARREL: Plot = &[
    &[
        "One [day|morning], {name} and {friend}, {a fadj} {fkind}, found {a oadj} {obj} {spot}.",
        "{His} friend was {a fkind} named {friend}. One day, they found {a oadj} {obj} {spot}.",
    ],
    &[
        "\"I saw it first! It is mine,\" said {name}.",
        "\"The {obj} is mine,\" said {name}. \"I saw it first.\"",
    ],
    &["\"No, it is mine!\" [said|cried] {friend}.", "\"No, I saw it first!\" {friend} [said|cried]."],
    &[
        "They pulled and pulled until the {obj} [almost broke|fell into the mud].",
        "They were so angry that they did not speak [all day|for a long time].",
        "{name} went home with the {obj}, but it was no fun to play alone.",
    ],
    &[
        "An old [owl|woman|man|turtle] saw them. \"Why do you not share?\" [she asked|asked a soft voice].",
        "Then {name} thought about {friend} and felt [sorry|sad|bad].",
    ],
    &[
        "\"I am sorry,\" said {name}. \"[We can share it|You can have it first|Let us play together].\"",
        "{name} went to {friend} and said, \"I am sorry. Let us share the {obj}.\"",
    ],
    &[
        "{friend} smiled. \"I am sorry too,\" {fhe} said.",
        "\"That is a good idea,\" said {friend}, and they shook hands.",
    ],
    &[
        "So one day {name} had the {obj}, and the next day {friend} had it.",
        "They played with the {obj} [all day|all afternoon|until it was dark], and it was much more fun.",
    ],
];

const AFRAID: Plot = &[
    &[
        "{name} was afraid of [the dark|thunder|deep water|high places|loud noises].",
        "There was one thing {name} did not like. {He} was afraid of [the dark|thunder|the forest at night].",
    ],
    &[
        "[One night|One evening], {he} could not sleep, and {he} began to cry.",
        "[One night|One evening], {he} had to walk alone {place}, and {his} legs began to shake.",
    ],
    MEETING,
    &["\"I am [so afraid|scared],\" said {name}.", "\"I want to be brave, but I am not,\" {name} said."],
    &[
        "\"Everyone is afraid sometimes,\" said {friend}. \"I was afraid too.\"",
        "\"To be brave means to go on when you are afraid,\" said {friend}.",
    ],
    &[
        "{Fhe} gave {name} {a oadj} {obj}. \"Hold this, and think of me.\"",
        "{friend} took out {a oadj} {obj}. \"This {obj} helped me. Now it can help you.\"",
    ],
    &[
        "{name} held the {obj} [tight|in both hands] and took a deep breath.",
        "{name} looked at the {obj} and [counted to ten|thought of something nice].",
    ],
    &[
        "[Step by step|Slowly|After a while], {he} was not afraid anymore.",
        "It was not so bad. {He} even began to [smile|sing|laugh].",
    ],
];

const MAKING: Plot = &[
    &[
        "{name} wanted to make {a obj}. {He} had never made one before.",
        "One day, {name} saw a beautiful {obj} and wanted to make one too.",
        "{name} had a dream. {He} wanted to make {a oadj} {obj} with {his} own hands.",
    ],
    &[
        "{He} worked all [day|morning|night], but the {obj} [broke|fell apart|looked very strange].",
        "The first {obj} [broke|was too small|was too big]. The second one [broke|fell apart|was not good].",
    ],
    &["\"I will never learn it,\" said {name}.", "\"This is too hard for me,\" {he} said [sadly|quietly]."],
    MEETING,
    &[
        "\"I can show you,\" said {friend}. \"You must go slowly.\"",
        "\"Do not give up,\" {fhe} said. \"Try again, and I will help you.\"",
    ],
    &[
        "They worked side by side. {friend} held the [wood|cloth|paper], and {name} [cut it|painted it {color}].",
        "{friend} showed {him} each step, and {name} tried again and again.",
    ],
    &[
        "At last, the {obj} was ready. It was {oadj} and {color}.",
        "In the end, {name} had {a oadj} {obj}, and {he} was very proud.",
    ],
    &[
        "Everyone in the [village|forest|valley] came to see it.",
        "\"[You did it|Look what you made|Well done]!\" said {friend}.",
    ],
];

const JOURNEY: Plot = &[
    &[
        "One [day|morning], {his} [mother|father|grandmother] asked {him} to take {a obj} to {friend}, {a fadj} {fkind}.",
        "One [day|morning], {name} wanted to bring {a oadj} {obj} to {friend}, {a fkind} who lived far away.",
    ],
    &[
        "{name} [put on a hat|packed some {food}|took a map] and walked {place}.",
        "The way was long. {He} walked [over a hill|through a forest|along a river] and {place}.",
    ],
    &[
        "But the bridge was broken, and the water was [deep|cold|fast].",
        "But a big [tree|rock|stone] lay on the path, and {he} could not go on.",
        "But soon {he} did not know the way, and it was getting dark.",
    ],
    &[
        "\"What can I do now?\" {name} [asked|wondered].",
        "{name} sat down and thought [hard|for a long time].",
    ],
    &[
        "A [bird|frog|duck|mouse] saw {him} and said, \"I know another way. Follow me!\"",
        "Then {he} had an idea. {He} [took a long branch|called for help|climbed up a tree] and found another way.",
    ],
    &[
        "At last, {he} came to the house of {friend}.",
        "When the [moon|sun] came up, {he} saw the little house of {friend}.",
    ],
    &[
        "\"I brought you this {obj},\" said {name}.",
        "{name} knocked at the door and gave {friend} the {obj}.",
    ],
    &[
        "\"You came all this way for me!\" said {friend}. {Fhe} made [tea|soup] and {food}.",
        "{friend} was so glad that {fhe} [sang a song|danced around the room|gave {him} a big hug].",
    ],
];

const RIVER: Plot = &[
    &[
        "One [day|morning], {name} went to the [river|lake] with {his} {oadj} {obj}.",
        "One [warm|sunny|windy] day, {he} played near the [river|lake] with {a oadj} {obj}.",
    ],
    &[
        "{He} slipped, and the {obj} fell into the water.",
        "A strong wind came, and splash! The {obj} fell into the water.",
    ],
    &["\"Oh no! My {obj}!\" cried {name}.", "{name} tried to reach it, but the water was too deep."],
    MEETING,
    &[
        "\"I can swim. I will get it for you,\" said {friend}.",
        "\"Wait here,\" {fhe} said, and [jumped into the water|ran to get a long branch].",
    ],
    &[
        "Soon {friend} came back with the {obj}. It was wet, but it was not broken.",
        "{friend} was very [fast|strong|brave]. {Fhe} pulled the {obj} out of the water.",
    ],
    &[
        "They put the {obj} in the sun to dry and ate some {food}.",
        "\"You are my hero,\" said {name}, and they both laughed.",
    ],
];

const SECRET: Plot = &[
    &[
        "One [day|evening], {name} found an old [box|chest|bag] {spot}. Inside was {a oadj} {obj}.",
        "One [day|evening], {a oadj} {obj} lay in front of {his} door. Nobody knew where it came from.",
    ],
    &[
        "There was a note on it. It said, \"[Give me to someone who is sad|Share me with a friend].\"",
        "When {he} touched the {obj}, it began to [shine|glow|sing]. It was magic!",
    ],
    &["{name} thought about it and went {place}.", "{He} put the {obj} in {his} bag and walked {place}."],
    &[
        "There {he} saw {a fkind} named {friend}, who sat all alone.",
        "{A fadj} {fkind} named {friend} was sitting there. {Fhe} had no one to play with.",
    ],
    &[
        "\"Would you like to see my {obj}?\" asked {name}.",
        "\"Look what I found,\" said {name}, and showed {fhim} the {obj}.",
    ],
    &[
        "{friend} looked up, and {fhis} eyes began to shine.",
        "\"It is {oadj}!\" said {friend}. \"May I touch it?\"",
    ],
    &[
        "They sat {spot} and made a wish. \"I wish for a friend,\" they both said.",
        "\"You can keep it,\" said {name}. \"And you can always play with me.\"",
    ],
];
