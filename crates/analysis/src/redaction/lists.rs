// SPDX-License-Identifier: MPL-2.0

//! The lists of the redaction: names of people, of streets, states and large towns. Written
//! by hand, for English; they are not complete.

/// Given names that are no other word, beside those of the lexicon. Sorted by nothing.
pub(super) const GIVEN: &str = "\
    aaron abigail adrian agnes aidan aisha alana alejandro alexandra alexis alfred ali alicia alison allison \
    alvin amelia amir amit amina anastasia andre andreas andres anders angelica angelo angie anika anja anjali \
    annette annie antoine antonia antonio anya archie ariana arjun arnold arthur arturo asha ashley audrey \
    ava barry beatrice becky bella belinda bernadette bernard beth bethany bianca bob bobby brad bradley brandon \
    brenda brendan brent brett brianna bridget bruce bryan caitlin calvin cameron camila candice carla carlos \
    carmen carole carrie cassandra cathy cecilia cedric chad chandra chelsea cheryl chloe cindy claudia \
    clara clarence clifford clyde cody colin connie connor corey courtney craig crystal curtis cynthia daisuke \
    dale damian damien dan dana danielle danny daphne darlene darrell darren dave deepak delia denise \
    derek desmond devon diane diego dieter dmitri dominic donny dora doreen douglas duncan dustin dwayne dylan \
    eddie edgar edith edwin eileen elaine eleanor eli elias elijah elise ella elliot elliott elsa emilio emilia \
    enrique erin ernest esther ethan eugene evan evelyn felix fernando florence floyd frances francesca \
    francisco franklin fred freddie frederick gabriel gabriela gabriella gail gareth garry gavin geoff geoffrey \
    georgia georgina gerard gilbert gina giovanni giulia giuseppe gladys glenda glen glenn gloria gordon graham greg \
    gregory greta guillermo gustavo gwen hans harriet harvey hassan hector herbert hiroshi holly howard hugh \
    hugo humphrey ibrahim imran ines irene isaac isabella isla jackie jackson jaime jake jamal jamie jan janice \
    jared jasmine javier jeanne jeff jenna jerome jerry jill jimmy joanna joanne joel johan johanna johnny \
    jonas jordan jorge josephine josie joyce julian juliana julie juliet julio justin kamal karl katie katrina kayla \
    keisha keiko ken kendra kerry kirsten klaus kristen kristin kristina kurt kyle lamar lance lars latoya \
    lauren laurie lawrence leah leila lena leo leon leonard leroy leslie lewis liam lillian lily liz lloyd logan \
    lois lorenzo lori lorraine louise luca lucas lucia luciana lucille luiz luke lydia lynn mabel mackenzie \
    madeleine madison maggie mandy manuel marcel marcia marcus margarita marianne marilyn marina marjorie marlene \
    marsha marvin mathias matt maureen maurice max maxine maya megan mei melanie melinda melvin mia miguel \
    mildred miriam mitchell mohamed mohammad moira molly morgan muhammad muriel myra nadia naomi nasreen natasha \
    nathaniel ned neil nelson nigel nikhil nikita nikolai noah noel nora norma norman olivier omar otto paige \
    pablo pamela patty paula pauline peggy penelope penny phil philippa phillip phoebe phyllis pierre priscilla \
    priya quentin rafael raj rajesh ramon randall randy raquel raul reginald rhonda ricardo rita roberta \
    roberto rochelle rodney roland ron ronnie rosa rosalind rosemary ross roxanne russell sabrina sadie sally \
    salvador sanjay santiago sasha saul sebastian selena sergei sergio seth shane shannon shaun shawn sheila \
    shelley sherry shirley sidney simon sonia sonja spencer stacey stacy stanley stella stuart suresh suzanne \
    sven sylvia tamara tara tatiana ted terence terri terry theodore tiffany todd tomas tracy trevor tristan tyler \
    tyrone valentina valerie vanessa vernon vicky vijay vikram vivian vladimir wanda wayne wesley whitney wilfred \
    winston xavier yolanda yuki yusuf yvette yvonne zachary zoe";

/// Given names that are another word too; they count before a surname only.
pub(super) const DOUBTFUL: &str = "\
    amber angel april art autumn bill brook brooke carter charity chase chip christian chuck clay cliff crystal dawn \
    dean dick drew earl faith forest frank gene glory grace grant guy hazel hope hunter iris ivy jack jasper jewel \
    joy june ken lane mark mason may melody mercy miles norm olive page parker pat patience pearl peg penny pete \
    ray reed rich rob robin rocky rose ruby rusty sam sandy skip sky stew stone sue summer sunny van violet ward \
    will woody dom jo marguerite marguerita hyacinth magnolia jasmine aster poppy clover marigold amaryllis ignatia \
    rosemary basil saffron sorrel bryony larkspur zinnia camellia azalea hank kip gus bud buddy chip art barb bea bo cal cam cliff curt dottie don ed fay fern flo gale gay ginger \
    gil hal heath herb ike jock josh kit laurel lily linden lux mal marina mat max mick mike nan nat nick opal pip polly \
    ray rex rod roman russ sage sal sid sonny sparrow stan sterling tad tate ted tom trey val vi wade walt wynn";

/// Surnames.
pub(super) const SURNAMES: &str = "\
    adams ahmed alexander allen alvarez anderson andrews armstrong arnold bailey baker barnes becker bell bennett \
    black boyd bradley brooks brown bryant burke burns butler campbell carpenter carroll carter castillo chan chang \
    chapman chavez chen choi clark clarke cohen cole coleman collins cook cooper cox crawford cruz cunningham daniels \
    davidson davies davis dawson delgado diaz dixon duncan dunn edwards elliott ellis evans ferguson fernandez \
    fischer fisher fleming flores ford foster fox franklin freeman fuller garcia gardner garza gibson gomez gonzales \
    gonzalez gordon graham grant gray green greene griffin gupta gutierrez hall hamilton hansen hanson harper harris \
    harrison hart harvey hawkins hayes henderson henry hernandez herrera hicks hill hoffman holmes hopkins howard \
    howell hudson hughes hunt hunter ibrahim jackson jacobs james jenkins jensen jimenez johnson johnston jones \
    jordan joseph kaur kelley kelly kennedy khan kim king klein knight kowalski kumar lambert lane larson lawrence \
    lawson lee lewis li lin liu long lopez lynch macdonald marshall martin martinez mason matthews mccarthy mccoy \
    mcdonald mckinney medina mendez mendoza meyer miller mills mitchell montgomery moore morales moreno morgan \
    morris morrison morrow mueller muller murphy murray myers nelson newman nguyen nichols nielsen novak o'brien \
    o'connor oliver olson ortiz owens palmer park parker patel patterson payne perez perkins perry peters peterson \
    phillips pierce porter powell price ramirez ramos reed reid reyes reynolds rice richards richardson riley rivera \
    roberts robertson robinson rodriguez rogers romero rose ross ruiz russell ryan salazar sanchez sanders santos \
    schmidt schneider schultz scott shah sharma shaw silva simmons simpson singh smith snyder soto spencer stephens \
    stevens stewart stone sullivan suzuki tan tanaka taylor thomas thompson torres tran tucker turner vargas vasquez \
    wagner walker wallace walsh wang ward warren washington watkins watson weaver webb weber webster wells west \
    marsh vance bishop barrett bowman bradshaw brandt briggs bright burgess bush byrne cahill calloway cannon carlson \
    carr castellano chambers chase christensen church clay clayton clements coates coffey conway copeland crane dalton \
    daly dean decker dempsey dickson dillon donovan doyle drake drummond dudley eaton emerson english erickson farrell \
    finch fitzgerald fletcher flynn forbes fowler frost fry gallagher garrett gentry gibbs gilbert giles gill glover \
    goodman goodwin gould graves haines hale hammond hancock hanna harding hardy harmon hatfield hayden haynes heath \
    hensley hess hickman higgins hines hobbs hodges hogan holden holland holloway holt hooper hood horn horton houston \
    hubbard huber huff hull humphrey hurley hurst hutchinson ingram irwin jacobson jarvis jefferson johns kane keller \
    kemp kent kerr kirby kirk koch kramer lamb lancaster langley lara leach leblanc leonard levy lindgren lindsey \
    livingston lloyd logan love lowe lucas lyons mack madden maddox mahoney malone mann manning marks marlowe marsden \
    marsh massey mathis maxwell mcbride mccall mcclure mccormick mcdaniel mcgrath mcguire mckenzie mclaughlin mcmahon \
    mcmillan mcpherson meadows melton mercer merrill monroe moody moran moss mullins nash neal newton nixon noble nolan \
    norris norton o'neill o'reilly o'sullivan o'neal osborne paulson pearce pearson peck pennington petersen pham pitts \
    poole pope potter potts preston pruitt pugh quinn ramsey randolph rankin ratcliffe rhodes richmond riggs ritter \
    robbins roberson robles rollins roth rowe rush rutherford saunders savage sawyer schaefer schroeder sears sellers \
    sexton shaffer shannon sharp shelton shepherd sheppard sherman short singleton skinner slater sloan small sparks \
    spence stafford stanton stark steele stokes stout strickland strong summers sutton swanson sweeney tate terrell \
    thornton townsend travis trevino trujillo tyler underwood valentine vaughn wade wall waller walters walton ware \
    warner waters watts weeks weiss whitaker whitehead wiggins wilcox wilder wilkerson wilkins winters wolf wolfe \
    woodard woodward wyatt yates york \
    wheeler white williams williamson willis wilson wong wood woods wright yamamoto yang young zhang zimmerman";

/// Words that stand behind a title, but are no name.
pub(super) const NO_NAME: &str = "\
    about account accounts actually afraid afternoon agent ago almost alright amazing anyway appointment available \
    away bad based basically best better big bit bye calling came card care cell city client coming completely \
    concerned confirmed connected consultation correct cool credit current customer day decided definitely details \
    done down early else email enough even evening every exactly excellent excited expecting experience explained \
    fact family far fine first five four free front full fully game getting glad going gone good great guys half \
    happened happy hard hello here hey hi hire his home hope hopefully house hundred idea important in interested \
    interesting internet issue it's i'm that's job kind know last late later leaving letter line little living long \
    looking lot main maybe mean member mobile moment money month morning moved much name near nearly new next nice \
    night nobody none not notes nothing now number o'clock of off office often ok okay old once online open ordered \
    original other out outside over own pain part past patient people person phone place please plenty pleased \
    plus pretty price problem product quick quite ready real really regarding right road said same sat saturday \
    sister second see serious service seven shop six so soon sorry speaking standing start still stuck such sunday super \
    sure taking tell ten terrible thank thanks then there they thing things third though thought three through time \
    tired today together told tomorrow tonight too totally town trouble true try trying two under unfortunately up \
    upset us used using usually very visit visits wait waiting watch way we'll week welcome well went what what's \
    when where which while who whole why wife with without wondering wonderful word work working world worried \
    would wow wrong year years yeah yep yes yesterday yet you'll you're your";

/// What has a name and is no person, in no list of words: days, months, countries, makers.
pub(super) const PLACES: &str = "\
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august \
    september october november december america europe asia africa england britain ireland scotland wales germany \
    france italy spain portugal poland russia china japan india canada mexico brazil australia israel egypt turkey \
    ukraine sweden norway denmark finland austria netherlands belgium greece korea vietnam thailand singapore \
    dubai rome paris berlin munich vienna madrid barcelona milan moscow tokyo beijing shanghai mumbai delhi seoul \
    american british english german french italian spanish chinese japanese indian canadian european russian \
    google microsoft amazon facebook apple netflix twitter linkedin youtube instagram whatsapp skype slack zoom \
    github gitlab azure kubernetes docker linux windows android iphone ipad samsung toyota honda tesla boeing \
    airbus walmart costco fedex dhl ups usps paypal visa mastercard amex salesforce oracle ibm intel nvidia adobe \
    dropbox uber lyft airbnb spotify comcast verizon vodafone gmail yahoo hotmail outlook wifi iphone christmas easter \
    gonna wanna gotta kinda dunno okay um uh hmm mhm wifi internet sms pdf url api cvv ssn dob gps usb app apps ceo cfo \
    cto nasa fbi cia bbc cnn nbc abc cbs eu uk usa gst vat ok yep nope hadn't i'm i'll i've i'd \
    datadog zendesk figma jira trello asana hubspot stripe shopify snowflake twilio pagerduty sentry grafana prometheus \
    postgres postgresql mysql redis kafka jenkins terraform ansible confluence sharepoint onedrive webex tiktok snapchat \
    reddit pinterest ebay etsy ikea lidl aldi tesco asda chatgpt openai copilot alexa siri cortana docusign intuit \
    quickbooks workday servicenow jetbrains intellij pytorch javascript typescript python nodejs mongodb elasticsearch \
    volkswagen nissan hyundai mercedes bmw audi porsche subaru mazda lexus volvo peugeot renault fiat skoda kia \
    xerox lenovo asus acer huawei xiaomi philips siemens bosch panasonic nokia motorola sony pfizer bayer novartis \
    tylenol advil ibuprofen paracetamol aspirin amoxicillin metformin lipitor heathrow gatwick tottenham amtrak \
    unicode wikipedia mastercard barclays lloyds natwest hsbc santander citibank monzo revolut venmo zelle klarna \
    aboard diem chairman devops frontend backend fintech saas crm erp kpi kpis okr okrs roi seo faq faqs admin admins \
    doordash grubhub deliveroo ubereats starbucks mcdonald's mcdonalds walgreens medicare medicaid blockchain \
    bitcoin ethereum covid spotify hulu disney playstation xbox nintendo pixar louvre telehealth microservices";

/// Words for a street that are hardly anything else behind a number and a name.
pub(super) const STREETS: &[&str] = &[
    "street",
    "st",
    "avenue",
    "ave",
    "av",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "ln",
    "drive",
    "dr",
    "terrace",
    "parkway",
    "pkwy",
    "court",
    "ct",
    "crescent",
    "highway",
    "hwy",
    "alley",
    "mews",
    "turnpike",
    "expressway",
    "causeway",
];

/// Words that are one for a street only where an address is expected.
pub(super) const STREETS_BY_CUE: &[&str] = &[
    "way",
    "place",
    "pl",
    "square",
    "sq",
    "circle",
    "cir",
    "trail",
    "close",
    "grove",
    "gardens",
    "row",
    "walk",
    "hill",
    "plaza",
    "park",
    "view",
    "broadway",
    "loop",
    "rise",
    "parade",
    "ridge",
    "pass",
    "pike",
    "quay",
    "wharf",
    "green",
    "heights",
    "hollow",
    "cove",
    "common",
    "crossing",
    "landing",
    "vale",
    "gate",
    "drove",
    "esplanade",
    "promenade",
    "embankment",
    "fields",
    "bend",
    "run",
    "path",
    "point",
    "side",
    "meadow",
    "meadows",
    "wynd",
    "croft",
    "bank",
    "crest",
    "glen",
];

#[rustfmt::skip]
pub(super) const STATES: &[&str] = &[
    "alabama", "al", "alaska", "ak", "arizona", "az", "arkansas", "ar", "california", "ca", "colorado", "connecticut",
    "ct", "delaware", "florida", "fl", "georgia", "ga", "hawaii", "idaho", "illinois", "il", "indiana", "iowa", "ia",
    "kansas", "ks", "kentucky", "ky", "louisiana", "maine", "maryland", "md", "massachusetts", "ma", "michigan", "mi",
    "minnesota", "mn", "mississippi", "ms", "missouri", "mo", "montana", "mt", "nebraska", "nevada", "nv",
    "new hampshire", "nh", "new jersey", "nj", "new mexico", "nm", "new york", "ny", "north carolina", "nc",
    "north dakota", "nd", "ohio", "oklahoma", "oregon", "pennsylvania", "pa", "rhode island", "ri", "south carolina",
    "sc", "south dakota", "sd", "tennessee", "tn", "texas", "tx", "utah", "ut", "vermont", "vt", "virginia", "va",
    "washington", "wa", "west virginia", "wv", "wisconsin", "wi", "wyoming", "wy", "dc", "d c", "ontario", "quebec",
    "england", "scotland", "wales", "ireland",
];

#[rustfmt::skip]
pub(super) const CITIES: &[&str] = &[
    "new york", "los angeles", "chicago", "houston", "phoenix", "philadelphia", "san antonio", "san diego", "dallas",
    "austin", "san jose", "jacksonville", "columbus", "charlotte", "indianapolis", "san francisco", "seattle", "denver",
    "boston", "nashville", "detroit", "portland", "memphis", "louisville", "baltimore", "milwaukee", "albuquerque",
    "tucson", "sacramento", "atlanta", "miami", "oakland", "minneapolis", "tulsa", "cleveland", "new orleans", "tampa",
    "honolulu", "pittsburgh", "cincinnati", "orlando", "st louis", "las vegas", "brooklyn", "london", "manchester",
    "birmingham", "leeds", "liverpool", "glasgow", "edinburgh", "bristol", "cardiff", "belfast", "dublin", "toronto",
    "vancouver", "montreal", "sydney", "melbourne", "brisbane", "perth", "auckland", "berlin", "paris", "springfield",
];

/// Provinces and counties. Some are names of people too, so they count in an address only.
#[rustfmt::skip]
pub(super) const REGIONS: &[&str] = &[
    // Canada and Australia
    "alberta", "ab", "british columbia", "bc", "b c", "manitoba", "mb", "new brunswick", "nb", "newfoundland",
    "nova scotia", "ns", "saskatchewan", "sk", "yukon", "yt", "nunavut", "prince edward island", "queensland",
    "new south wales", "tasmania", "qc",
    // counties of Britain
    "bedfordshire", "berkshire", "buckinghamshire", "cambridgeshire", "cheshire", "cornwall", "cumbria", "derbyshire",
    "devon", "dorset", "durham", "essex", "gloucestershire", "hampshire", "herefordshire", "hertfordshire", "kent",
    "lancashire", "leicestershire", "lincolnshire", "merseyside", "middlesex", "norfolk", "northamptonshire",
    "northumberland", "nottinghamshire", "oxfordshire", "shropshire", "somerset", "staffordshire", "suffolk", "surrey",
    "sussex", "east sussex", "west sussex", "warwickshire", "west midlands", "wiltshire", "worcestershire", "yorkshire",
    "north yorkshire", "west yorkshire", "south yorkshire", "fife", "aberdeenshire", "county cork", "county dublin",
];

/// More towns. Some are names of people or words too, so they count in an address only.
#[rustfmt::skip]
pub(super) const TOWNS: &[&str] = &[
    // more of America
    "fort worth", "el paso", "oklahoma city", "fresno", "mesa", "kansas city", "omaha", "colorado springs", "raleigh",
    "long beach", "virginia beach", "wichita", "arlington", "bakersfield", "aurora", "anaheim", "santa ana", "riverside",
    "corpus christi", "lexington", "stockton", "saint paul", "st paul", "greensboro", "lincoln", "anchorage", "plano",
    "irvine", "newark", "durham", "chula vista", "toledo", "fort wayne", "st petersburg", "laredo", "jersey city",
    "chandler", "madison", "lubbock", "scottsdale", "reno", "buffalo", "gilbert", "glendale", "winston salem",
    "chesapeake", "norfolk", "fremont", "garland", "irving", "hialeah", "richmond", "boise", "spokane", "baton rouge",
    "tacoma", "san bernardino", "modesto", "fontana", "des moines", "rochester", "yonkers", "worcester", "salt lake city",
    "little rock", "amarillo", "huntsville", "grand rapids", "knoxville", "providence", "sioux falls", "chattanooga",
    "tempe", "fort lauderdale", "eugene", "salem", "santa rosa", "pasadena", "savannah", "syracuse", "dayton", "hartford",
    "bridgeport", "topeka", "evanston", "ann arbor", "berkeley", "boulder", "cambridge", "bellevue", "palo alto",
    "mountain view", "sunnyvale", "santa clara", "santa monica", "santa barbara", "queens", "the bronx", "bronx",
    "manhattan", "staten island", "juneau", "albany", "charleston", "wilmington", "burlington", "concord", "helena",
    "cheyenne", "fargo", "duluth", "green bay", "peoria", "akron", "trenton", "annapolis", "naperville", "saint louis",
    // Britain, Ireland, Canada
    "sheffield", "newcastle", "nottingham", "leicester", "coventry", "bradford", "hull", "plymouth", "stoke", "derby",
    "southampton", "portsmouth", "brighton", "aberdeen", "dundee", "inverness", "swansea", "oxford", "york", "bath",
    "exeter", "norwich", "ipswich", "luton", "guildford", "croydon", "watford", "slough", "reading", "blackpool",
    "bournemouth", "swindon", "peterborough", "middlesbrough", "sunderland", "preston", "chester", "cheltenham",
    "gloucester", "canterbury", "lancaster", "stirling", "cork", "galway", "limerick", "ottawa", "calgary", "edmonton",
    "winnipeg", "quebec city", "hamilton", "halifax", "london ontario", "saskatoon", "regina", "mississauga", "whitehorse",
    "adelaide", "canberra", "hobart", "wellington", "christchurch", "zurich", "munich", "hamburg", "vienna", "amsterdam",
];

/// Words that are younger than the list of English words.
pub(super) const NEW_WORDS: &str = "\
    aboard airdrop airpods analytics android api appstore async autocomplete autofill backend backlog backlink bandwidth barista beanie \
    bitcoin blog blogger blogging bluetooth boba broadband brexit broccolini bugfix burrito businessperson cappuccino captcha \
    cashback chatbot checkbox checkout checklist chromebook clickbait cloudbase codebase config coronavirus covid coworking \
    crowdfunding crypto cryptocurrency cyber cybersecurity dashcam dataset datasets deadlift debug deepfake defi dev devops \
    dashboard diem dropdown dropship dongle ebook ecommerce email emails emoji espresso ethernet exfoliant facelift fanbase \
    fintech firewall firmware fitbit flexitarian frontend gamer gaming geofence gif giga google hackathon handheld hashtag \
    headcount headset helpdesk homepage hotspot hoverboard influencer infographic inbox infosec intranet ios ipad iphone jpeg \
    keto keyboard keypad keyword kombucha laminator laptop latte lifehack linkedin lockdown login logout lookup macbook malware \
    matcha meme merch metadata microservice middleware misclick mocktail mojito monetize motherboard multifactor multitask \
    netbook netflix newsfeed notepad offboarding offline okay omicron onboarding online opensource outlook oxycontin paleo paypal \
    paywall phishing pickleball pilates pixel playlist plugin podcast podcaster powerpoint preorder preschooler pushback quinoa \
    quesadilla ransomware readme rebrand rebranding reddit refactor refi remodel reskill ringtone roadmap roadshow rollout router \
    ryanair easyjet lufthansa screencast screenshot selfie shapewear signup simcard smartphone smartwatch smoothie snapchat \
    software spam spreadsheet sriracha standup startup staycation subreddit sudoku sushi takeaway takeout taskbar telehealth \
    telemedicine terabyte texted texting timeline timeout timestamp toolchain touchpad touchscreen tofu tortilla troubleshoot \
    tweet twitter unboxing unfollow unfriend unmute unsubscribe upcycle uplink upload upsell upskill username vape vaping vegan \
    veggie viral virtualization vlog vlogger voicemail voip walkthrough wearables webcam webhook webinar website webpage weekday \
    whatsapp wheelie whiteboard whitelist widget wifi wiki wikipedia wireframe workaround workflow workout workspace workstream \
    xray youtube youtuber zoning zoom zoomed zumba";
