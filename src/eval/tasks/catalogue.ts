/** The paper's 27 data sets (CLIP, table 9): what they are measured by, and where their files are looked for. */
import type { MetricName } from "./task.ts";

export interface DataSet {
  /** Folder of its files in the folder of data, and name of the task. */
  readonly name: string;
  readonly title: string;
  readonly metric: MetricName;
  /** As the paper counts them. */
  readonly classes: number;
  readonly train: number;
  readonly test: number;
  /** What its makers say of its use; where they say nothing, that. */
  readonly licence: string;
  /** Whose page has the files. */
  readonly from: string;
  /** Prompts where the files bring none, `{}` being the class; the first is the one template. */
  readonly templates: readonly string[];
}

const photos = (kind: string): readonly string[] => [
  `a photo of a {}, a type of ${kind}.`,
  `a photo of the {}, a type of ${kind}.`,
  `a close-up photo of a {}, a type of ${kind}.`,
];
const ANY = ["a photo of a {}.", "a photo of the {}.", "a close-up photo of a {}.", "a blurry photo of a {}."] as const;
const PLACES = ["a photo of a {}.", "a photo of the {}.", "a view of a {}."] as const;
const ACTIONS = ["a photo of {}.", "a photo of a person doing {}.", "a video of a person doing {}."] as const;
const FROM_ABOVE = ["a satellite photo of {}.", "an aerial photo of {}.", "a centered satellite photo of {}."] as const;
const RESEARCH = "research only, not commercial";
const UNSAID = "not stated";

export const DATA_SETS = [
  {
    ...{ name: "food101", title: "Food-101", metric: "accuracy", classes: 102, train: 75_750, test: 25_250 },
    ...{ licence: "not stated; pictures by users of Foodspotting", from: "ETH Zurich, Computer Vision Lab" },
    templates: photos("food"),
  },
  {
    ...{ name: "cifar10", title: "CIFAR-10", metric: "accuracy", classes: 10, train: 50_000, test: 10_000 },
    ...{ licence: UNSAID, from: "University of Toronto: cifar-10-binary.tar.gz" },
    templates: ANY,
  },
  {
    ...{ name: "cifar100", title: "CIFAR-100", metric: "accuracy", classes: 100, train: 50_000, test: 10_000 },
    ...{ licence: UNSAID, from: "University of Toronto: cifar-100-binary.tar.gz" },
    templates: ANY,
  },
  {
    ...{ name: "birdsnap", title: "Birdsnap", metric: "accuracy", classes: 500, train: 42_283, test: 2_149 },
    ...{ licence: "not stated; a list of addresses on Flickr, some gone", from: "Columbia University" },
    templates: photos("bird"),
  },
  {
    ...{ name: "sun397", title: "SUN397", metric: "accuracy", classes: 397, train: 19_850, test: 19_850 },
    ...{ licence: RESEARCH, from: "Princeton University, Vision Group" },
    templates: PLACES,
  },
  {
    ...{ name: "stanford-cars", title: "Stanford Cars", metric: "accuracy", classes: 196, train: 8_144, test: 8_041 },
    ...{ licence: RESEARCH, from: "Stanford University" },
    templates: photos("car"),
  },
  {
    ...{
      name: "fgvc-aircraft",
      title: "FGVC Aircraft",
      metric: "mean per class",
      classes: 100,
      train: 6_667,
      test: 3_333,
    },
    ...{ licence: RESEARCH, from: "University of Oxford, Visual Geometry Group" },
    templates: photos("aircraft"),
  },
  {
    ...{ name: "voc2007", title: "Pascal VOC 2007", metric: "11-point mAP", classes: 20, train: 5_011, test: 4_952 },
    ...{ licence: "Flickr's terms of use", from: "the PASCAL Visual Object Classes project" },
    templates: ANY,
  },
  {
    ...{ name: "dtd", title: "Describable Textures", metric: "accuracy", classes: 47, train: 3_760, test: 1_880 },
    ...{ licence: RESEARCH, from: "University of Oxford, Visual Geometry Group" },
    templates: ["a photo of a {} texture.", "a photo of a {} pattern.", "a photo of a {} thing."],
  },
  {
    ...{ name: "pets", title: "Oxford-IIIT Pets", metric: "mean per class", classes: 37, train: 3_680, test: 3_669 },
    ...{ licence: "CC BY-SA 4.0", from: "University of Oxford, Visual Geometry Group" },
    templates: photos("pet"),
  },
  {
    ...{ name: "caltech101", title: "Caltech-101", metric: "mean per class", classes: 102, train: 3_060, test: 6_085 },
    ...{ licence: "CC BY 4.0", from: "California Institute of Technology" },
    templates: ANY,
  },
  {
    ...{
      name: "flowers102",
      title: "Oxford Flowers 102",
      metric: "mean per class",
      classes: 102,
      train: 2_040,
      test: 6_149,
    },
    ...{ licence: UNSAID, from: "University of Oxford, Visual Geometry Group" },
    templates: photos("flower"),
  },
  {
    ...{ name: "mnist", title: "MNIST", metric: "accuracy", classes: 10, train: 60_000, test: 10_000 },
    ...{ licence: "CC BY-SA 3.0", from: "its authors: the four idx files, plain or gzip" },
    templates: ['a photo of the number: "{}".', "a handwritten digit {}."],
  },
  {
    ...{
      name: "fer2013",
      title: "Facial Emotion Recognition 2013",
      metric: "accuracy",
      classes: 8,
      train: 32_140,
      test: 3_574,
    },
    ...{ licence: "terms of a competition on Kaggle", from: "Kaggle" },
    templates: [
      "a photo of a {} looking face.",
      "a photo of a face showing the emotion: {}.",
      "a photo of a person who is {}.",
    ],
  },
  {
    ...{ name: "stl10", title: "STL-10", metric: "accuracy", classes: 10, train: 1_000, test: 8_000 },
    ...{ licence: "ImageNet's: research only, not commercial", from: "Stanford University" },
    templates: ANY,
  },
  {
    ...{ name: "eurosat", title: "EuroSAT", metric: "accuracy", classes: 10, train: 10_000, test: 5_000 },
    ...{ licence: "MIT; Copernicus Sentinel data", from: "its authors" },
    templates: FROM_ABOVE,
  },
  {
    ...{ name: "resisc45", title: "RESISC45", metric: "accuracy", classes: 45, train: 3_150, test: 25_200 },
    ...{ licence: UNSAID, from: "Northwestern Polytechnical University" },
    templates: FROM_ABOVE,
  },
  {
    ...{ name: "gtsrb", title: "GTSRB", metric: "accuracy", classes: 43, train: 26_640, test: 12_630 },
    ...{ licence: "free to use, its authors ask to be cited", from: "Ruhr University Bochum" },
    templates: ['a photo of a "{}" traffic sign.', 'a close-up photo of a "{}" traffic sign.'],
  },
  {
    ...{
      name: "kitti",
      title: "KITTI (distance of the nearest car)",
      metric: "accuracy",
      classes: 4,
      train: 6_770,
      test: 711,
    },
    ...{ licence: "CC BY-NC-SA 3.0", from: "Karlsruhe Institute of Technology" },
    templates: ["{}"],
  },
  {
    ...{ name: "country211", title: "Country211", metric: "accuracy", classes: 211, train: 43_200, test: 21_100 },
    ...{ licence: "Creative Commons, by picture", from: "OpenAI" },
    templates: ["a photo I took in {}.", "a photo showing the country of {}.", "a photo from {}."],
  },
  {
    ...{ name: "pcam", title: "PatchCamelyon", metric: "accuracy", classes: 2, train: 294_912, test: 32_768 },
    ...{ licence: "CC0", from: "its authors" },
    templates: ["this is a photo of {}"],
  },
  {
    ...{ name: "ucf101", title: "UCF101 (middle frames)", metric: "accuracy", classes: 101, train: 9_537, test: 1_794 },
    ...{ licence: "not stated; videos of YouTube", from: "University of Central Florida" },
    templates: ACTIONS,
  },
  {
    ...{
      name: "kinetics700",
      title: "Kinetics-700 (middle frames)",
      metric: "mean of two",
      classes: 700,
      train: 494_801,
      test: 31_669,
    },
    ...{ licence: "CC BY 4.0; videos of YouTube", from: "DeepMind" },
    templates: ACTIONS,
  },
  {
    ...{ name: "clevr-counts", title: "CLEVR Counts", metric: "accuracy", classes: 8, train: 2_000, test: 500 },
    ...{ licence: "CC BY 4.0", from: "Stanford University" },
    templates: ["a photo of {} objects.", "{} objects."],
  },
  {
    ...{ name: "hateful-memes", title: "Hateful Memes", metric: "ROC AUC", classes: 2, train: 8_500, test: 500 },
    ...{ licence: "Meta's, research only", from: "Meta" },
    templates: ["a {}."],
  },
  {
    ...{ name: "rendered-sst2", title: "Rendered SST2", metric: "accuracy", classes: 2, train: 7_792, test: 1_821 },
    ...{ licence: UNSAID, from: "OpenAI" },
    templates: ["a {} review of a movie."],
  },
  {
    ...{ name: "imagenet", title: "ImageNet", metric: "accuracy", classes: 1000, train: 1_281_167, test: 50_000 },
    ...{ licence: RESEARCH, from: "the ImageNet project; ILSVRC 2012's validation pictures are its test" },
    templates: [
      "a photo of a {}.",
      ...ANY.slice(1),
      "a drawing of a {}.",
      "a cropped photo of a {}.",
      "a bright photo of a {}.",
    ],
  },
] as const satisfies readonly DataSet[];
