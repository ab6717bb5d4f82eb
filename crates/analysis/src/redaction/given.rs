// SPDX-License-Identifier: MPL-2.0

//! Given names from many countries, written by hand. `lists` has the ones that are frequent
//! in English. None is an English word, a town or a country.

/// Given names.
pub(super) const MORE: &str = "\
    abdul abdullah abdulrahman abebe abena abhishek abimbola abiodun achieng adaeze adaku adaora addison adebayo adel \
    adele adeline aditi aditya adnan adriana adrien afia afsaneh agatha agnieszka ahmad ahmet aiko aileen ainhoa ainsley \
    aiyana ajay akash akeem akiko akira akosua alain alan alastair alba albrecht aleksandr aleksandra alena alessandra \
    alessandro alessia alfie alfonso alina alisha alistair aliyah alma alondra aloysius alphonse althea alyssa amadou \
    amal amanda amandla amara amaya ambrose amelie amira amit amita amos amrita anahita anais ananya anastasios anatoly \
    andrea andrei andrej andrzej aneesa anette angelika angelina angelique angus anil anisa anita anjelica annabel \
    annabelle annalise anneke annelise annemarie annika anouk ansel anselm anthea antoni antonella anton anushka aoife \
    aparna apollonia arabella aram araceli aran archana archibald aretha ariadne ariel arif arlene arlo armand armando \
    arnaud arne arno arash arsene artem artur arvid arvind asad asante asher ashok ashwin asif aslan astrid asuncion \
    atticus aubrey august augustin augustus aurelia aurelie aurelio austin avery aviva axel ayaan ayako ayana ayanda \
    ayesha ayla aylin ayodele ayumi azadeh aziz babak babatunde baptiste barack barbora barnaby bartholomew bartosz \
    bashir basil bastian beatrix beatriz beau benedetta benedict benedikt benicio benita benito benoit berenice bernd \
    bernardo bernice bertha bertram bethan bettina bevan beverley beverly bhavna bianka bilal birgit birgitta bjarne bjorn \
    blaise blanca bogdan boris bosco boyan bram brandi breanna brecken brenna brennan briana brianne bridie brigitte bronte \
    bronwen bronwyn bryce brynn bryony caio caius caleb callie callum calum camille candace caoimhe caren carina carine \
    carlotta carlton carly carmela carmelo carolina caroline carolyn carsten casimir caspar casper caspian cassidy cassie \
    catalina catarina cate caterina catherine cathal catriona cayden ceri cesar chaim chandni chanel chantal chantelle \
    charlene charlie charlotte chaya chedva chiamaka chiara chidi chidinma chiedu chigozie chika chike chimamanda chinedu \
    chinonso chinwe chioma chisom chizoba christel christelle christiane christina christine christoph christophe \
    christopher chukwuemeka ciara ciaran cian cillian clarissa claude claudette claudine claudio clemens clemence \
    clement clementine cleo clodagh clotilde conall concetta connell conor conrad constance constantin consuelo cora \
    coraline cordelia cornelia cornelius corinna corinne cormac cosima cosimo cosmo cressida crispin cristian cristiano \
    cristina cyril cyrus dafydd dagmar dagny daiki dalia dalila damilola damon danica daniela danilo danuta daria \
    dariusz darius darnell darragh daryl davide davina dawid dayo deandre deanna deborah declan deepa deepika deirdre \
    deja delaney delilah delphine demarcus demetrius demi denis deniz denzel deon derya desiree deshawn devin devika \
    devonte dhruv diana dianne diarmuid diederik dieudonne dilip dimitri dimitrios dimitris dinah dinesh dionne dirk divya \
    djamila dmitry dolores dominik dominika dominique donal donald donatella donna donovan dorian dorota dorothea dorothy \
    dougal drusilla duarte dulce dunya dwight eamon eamonn earnest eberhard ebony edda edison edmund edna eduardo edward \
    edyta efe efua egon eileen eilidh eimear einar eira eirik ekaterina ekene ekua eleanora elena eleni elif elin elina \
    elisa elisabeth elisabetta elizabeta elke ellen ellie elmer elodie eloise elspeth elvira elvis elwood elya emanuel \
    emanuela emeka emery emile emilie emily emine emma emmanuel emmanuelle emmett emre enid enitan ennio enya enzo eoghan \
    eoin ephraim erica erich erik erika erkan ermias ernesto ernst errol erwin esme esmeralda esperanza esra estefania \
    estelle esteban ester etienne etta eugenia eugenie eun eunice euphemia eva evangeline evander evelina everett ewa ewan \
    ezekiel ezequiel ezra fabian fabiana fabienne fabio fabrice fabrizio fadi fahad fahim faisal faith faizan fanny farah \
    fareed farhan farid fariha farouk faruk fatima fatimah fatou fatoumata faye federica federico felicia felicity felipe \
    femi fenella fergal fergus fernanda ferran fidel fidelma filip filippa filippo finbar finlay finley finn finnian fiona \
    fionnuala fiorella flavia flavio fleur florian florencia florent folake folasade foluke francine francois francoise \
    franca franco franziska freda frederic frederica freddy freja freya frida frieda friedrich fritz fumiko funmilayo gaia \
    gaspard gaston gautam gavrel geeta geert gemma gena genevieve geoffroy georgie georgios gerald geraldine gerda gerhard \
    gerrit gertrude ghassan giacomo giada gianna gianni giancarlo gianluca gideon gilda gilles gina ginevra giorgia \
    giorgio giselle gisela gita githa gitte giuliana giuliano glynis gobind godfrey gonzalo gopal goran gosia gottfried \
    govind grainne grazia graziella graeme grayson greer gregor greta grete gretchen griselda grzegorz guadalupe gudrun \
    guido guillaume gulsen gunnar gunther gurpreet gus gwendolyn gwyneth habib hadley hadiza haider haile hakan hakim \
    halima halina hamid hamish hamza hana hanan hanna hannah hanneke hannelore hanno harald hari harish haroon harriet \
    harrison haruki haruto hasan hasna hattie hayden hayley heather hedda hedwig heike heidi heiko heinrich heinz helen \
    helena helene helga helmut hemant hendrik henri henrietta henrik henrike henry hermann hermione hernan hideo hiba \
    hilary hilda hillary himanshu hina hinrich hiroko hisham hollis homer honora horace horst hortense houda hubert \
    hussein hye ian ianthe ibrahima ichiro ida idris ieuan ifeanyi ifeoma iga ignacio ignatius igor ike ikenna ilana \
    ilaria ilias ilka ilona ilse ilya iman imani imelda imogen ina inaya indira indra ines inga inge ingeborg ingrid \
    inigo iolanthe ioana ion iqbal ira irina irma irmgard isabeau isabel isabelle isadora isaiah isha ishaan ishani \
    isidore isidro ismael ismail isobel isolde istvan itziar ivana ivar ivo ivonne iwan iwona iyanu izabela jaakko jaap \
    jacek jacinta jacob jacqueline jacques jada jaden jagoda jaiden jakob jakub jalen jamaal jamar james jamila \
    jamison jana jane janelle janet janina janine janusz jarek jaroslav jaromir jarrod jarvis jaspreet javed javon jaya \
    jayden jayesh jaylen jayne jean jeanette jeannie jedidiah jelena jemima jemma jennifer jens jeremiah jeremy jermaine \
    jessica jessie jethro jewell jiho jihoon jimena jin jiro jitendra joachim joan joao joaquin jocelyn jochen jodie \
    joelle joerg johann johannes john jolanda jolene jonathan jonathon jonny joost joram jordi jorgen josefa josefina \
    joseph joshua josiah josip josue jovan juan juana juanita judith judy jules julien juliette julius june junko jurgen \
    jussi justine justyna jyoti kabir kacper kadeem kaia kaitlyn kaito kajsa kaleb kalina kalpana kamala kamau kameron \
    kamil kamila kamran kandice kanye kaori kareem karen karim karin karina karla karolina karthik kasia kasper kateryna \
    katharina katharine kathleen kathryn kathrin kathy katia katja katsumi kavita kavya kaya kaylee kayleigh kazimierz \
    kazuki kazuo keanu kehinde keir keira keith kelechi kelsey kelvin kemal kennedy kenneth kenji kenta kenzo \
    kerim kermit kerstin kevin kezia khadija khaled khalid khalil khushi kiana kiara kieran kilian kim kimberley \
    kimberly kinga kinsley kiran kirk kirsty kirsti kirsty kiyoshi klaas klara klaudia kofi kojo koji kolade konrad \
    konstantin kosta krishna kristian kristine kristoffer krystal krystyna krzysztof kshitij kunal kunle kwabena kwadwo \
    kwaku kwame kwasi kylie lachlan laila lakisha lakshmi lalita lamine lana lanre lara larissa larry lasse laszlo latif \
    latisha laura laureen lauren laurent laurence laurie lavinia lawrence layla lazaro lea leandro leanne lech leela leif \
    leigh leila leilani lemuel lena lennart lennox leo leocadia leon leonard leonardo leonhard leonid leonie leonor \
    leopold leroy leslie leticia levi liam liana libby lidia liesbeth liesel ligaya lila lilia lilian liliana lilith \
    lillian lina lindiwe lindsay lindsey linus lionel lisa lisbeth lise lisette liv livia lizbeth ljubica lluis logan lois \
    lola lorcan loredana lorelei lorena lorenz lorenzo loretta lori lorna lorraine lothar lottie louella louis louisa \
    louise lourdes luana luc luca lucas lucia lucian luciana luciano lucien lucinda lucja lucretia lucy ludmila ludovic \
    ludwig luigi luis luisa lukas lukasz luke luna lupita luther luz lydia lyle lynda lynette lynne lyudmila maarten \
    mabel maciej madalena maddison madeleine madeline madhav madhuri mads mae maelle maeve magda magdalena magnus maha \
    mahalia mahesh mahir mahmoud mahmud mai maia mairead maisie maite maja makayla makena makoto malachi malaika malala \
    malcolm malgorzata malia malik malin mallory malte malvina mamadou mandla mandy manfred manish manoj manuel manuela \
    mara marc marcel marcela marcelina marcello marcelo marcia marcin marco marcos marek maren margarida margarita \
    margaux margherita margit margot margret marguerite mariam mariama marian mariana marianna marianne mariano maribel \
    marie marieke mariela marietta marija marika marilyn marina marina mario marion marisa marisol marissa marit marius \
    marjorie marko markus marlena marlene marley marlon marta marte martha martin martina martine marvin mary maryam \
    maryanne marzena masako masato massimo matej mateo mateus mateusz mathew mathias mathieu mathilde matilda matilde \
    matteo matthew matthias matthieu maud maude maura maureen maurice mauricio maurizio mauro maxime maximilian maxine \
    maya mayumi mckenna mckenzie meagan medea meera megan megumi mehdi mehmet mei melanie melina melinda melisande melissa \
    melvin meredith merete meriem meryem mia micaela micah michaela michal micheal michel michela michele micheline \
    michelle michiko michio miguel mihai mika mikael mikaela mikel mikhail mila milagros milan milana milena milica \
    mina minerva minh minji mira mirabel miranda mireille mirela miriam mirjam mirko miroslav misaki mitsuko modupe mohan \
    mohit mohsen moira moises mojisola mona monica monika monique montserrat morag moritz morten moses mostafa moussa \
    muhammed mukesh mumtaz munir murat murray mustafa myfanwy myra myriam myrna myrtle nabil nadeem nadia nadine nadezhda \
    nadja nahid naima najwa nana nanako nancy nandini naoki narendra narges naseem nashwa nasir nasra nassim natalia natalie \
    natasa nathalie nathan naveed naveen nayeli nazanin neda neema neha nelly nell nelida nella nepheli nerys nessa nestor \
    neve nevena nguyet ngozi nia niamh nicanor niccolo nicholas nicola nicolas nicole nicoletta niels nika niko nikolas \
    nikolaus nils nima nimisha nina nirmala nisha nishant nita nitin njambi nkechi nkosana noa noelle noemi nolan nomsa \
    noriko noura nuala nuno nuria nyasha oana obinna octavia octavio odalys odette odile oisín oisin okechukwu \
    oksana ola olabisi olaf olamide olav ole olena oleg olga olha olivia ollie olu olufemi olumide oluwaseun oluwatobi omari \
    omolara ondine onyeka ophelia ora oren oriana oriol orla orlaith orlando orson orville osagie osamu oscar oskar \
    osman oswald otieno otis ottilie ottoline owain owen ozan ozgur padraig padma palesa paloma pamina pandora paolo paolina \
    parminder parvati parveen pascal pascale patrice patricia patricio patrick patrik patryk paul paulette paulina paulo \
    pavel pavla pawel pedro peggy pelle perla pernille persephone petar peter petr petra petros petronella phineas phoebe \
    phuong pia pieter pietro pilar pilita piotr pooja poppy portia prakash pranav prashant pratik praveen preeti \
    prem prisca priyanka przemyslaw purvi qasim qiang quentin quincy quinn quintin rabia rachel rachael radek radha \
    radoslav rafaela rafal raffaele raheem rahim rahul raina rainer raisa raissa rajiv rajesh raju rakesh ralf ralph rama \
    ramesh rami ramiro ramona rana rania ranjit raphael raquel rashad rashid rashida rasmus ravi ravindra rayan raymond \
    raymundo rebecca rebekah reem regan regina reiko reina reiner reinhard remi remy rena renata renate renato rene renee \
    reshma reuben reyna reza rhea rhian rhiannon rhoda rhys ria riccardo richa richard rikard rina rishi ritika roan robbie \
    robert roberta robyn rocio roderick rodolfo rodrigo rodrigue rogelio roger rogier rohan rohit roisin rokas roland rolando \
    rolf romain romana romeo romy rona ronaldo ronan ronja roksana roopa rosalie rosalinda rosalyn rosamund rosanna rosario \
    roseanne roshan rosie roslyn rosmarie rowan rowena roy ruaridh ruben rudi rudolf rudy rufus rui rukhsana rupert ruslan \
    rutger ruth ruxandra ryan ryoko ryota saad saanvi sabine sachiko sachin sadie saeed saffron safiya sagal sahar sahil \
    saif saira saki sakshi sakura salim salma salman salome salvatore samantha samir samira sammy samson samuel sana \
    sanaa sandeep sander sandra sandrine sanjana sanjeev sanna saoirse sara sarah sari sarika saskia satoshi savanna sayed \
    scarlett sean sebastien seema selah selim selina selma senthil seo seong seraphina serena serge sergey serhiy \
    setsuko severin seyed shabnam shahid shaima shakira shalini shamika shanaya shania shanice shanelle shanika shanthi \
    shantelle sharifa sharon shashi shaunna shauna shaylee sheena sheikh shelby sheldon shelly sherif sherlock sherri \
    sherwin sheryl shigeru shilpa shinji shira shireen shirin shivani shona shreya shruti shu shyam sian sibusiso siddharth \
    sienna sierra siegfried sigmund signe sigrid sigrun silas silke silvana silvia silvio simao simeon simona simone \
    sinead siobhan sipho sissel sita skylar slavko slawomir sloane snezana sofia sofie solange soledad soleil solomon \
    solveig somchai sonal sophia sophie soraya soren sota soumya srinivas stanislav stanislaw stavros stefan stefania \
    stefanie stefano steffen steffi stelios stephan stephane stephanie stephen sterre steven stig sukanya suki suleiman \
    sumaya sumitra sunil sunita suraj susan susana susanna susanne susie sushma svein svenja svetlana swati sybil sylvain \
    sylvester sylvie szymon tabitha tadashi tadeusz tadhg taiwo takashi takeshi taku talia tallulah talulah tamar tamas \
    tamika tamiko tamsin tania tanisha tanja tanvi tanya tapiwa tariq taro tarun taryn tasha tashi tasnim tatsuya \
    tatyana tayyab teagan teddy teemu teodor teresa tereza terje terrance terrell tess tessa thabo thaddeus thandi thandiwe \
    thea thelma themba theo theodor theodora theodoros theresa therese theresia thi thierry thijs thilo thom thomas thora \
    thorsten thuy tiago tiana tiara tiberius tilda tilly timon timothee timothy tina tinashe tinuke tirzah titus tobias \
    toby tobin tolulope tomasz tomoko tonya topher tore torsten tove toyin tristram troy trudy tuan tunde tushar twyla \
    tyra tyree tyrell tyson uchenna ulrich ulrika ulrike ulysses uma umar umberto unathi una ursula usha usman uta ute \
    uzma uzoma vadim valentin valentino valeria valerie valerio vanya vasilis vasily vaughn vedant veena venkat vera verena \
    vernice veronica veronika veronique vibeke victor victoria viktor viktoria vilhelm vilma vimal vincent vincenzo vineet \
    viola violeta violetta virgil virginie vishal vita vito vittoria vivek viviana vivien vivienne vladislav volker vusi \
    wanjiru waldemar walid wallace walter waleed wambui wangari warwick wassim wei weronika wilbert wilbur wilfried wilhelm \
    wilhelmina wilma winifred winnie wioletta wiktor wolf wolfgang wojciech wouter wren xander xanthe xavi ximena xiomara \
    xiaoming xin xochitl yael yahya yana yannick yara yasemin yash yasmeen yasmin yasmina yasuko yaw yelena yemi yesenia \
    yetunde yevgeny yevgeniya ying yoko yoel yonatan yosef yoshi yoshiko youssef yousef yuko yuliya yulia yumi yuri yuriko \
    yuval yves zachariah zack zadie zahir zahra zainab zaid zaire zander zane zara zaynab zdenek zeinab zelda zena zeynep \
    zhen zia zilla zinaida zineb zita zlatan zofia zoltan zora zoran zosia zsofia zsuzsanna zubair zuleika zuri zuzana";
