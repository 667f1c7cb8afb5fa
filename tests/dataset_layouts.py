"""Tiny made-up data sets in the official layouts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(8000, 0.1, np.float32), 16_000)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def make_audioset(folder: Path) -> None:
    write(
        folder / "class_labels_indices.csv",
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/068hy,"Domestic animals, pets"\n'
        '2,/m/0bt9lr,"Dog"\n',
    )
    write(
        folder / "balanced_train_segments.csv",
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        "# num_ytids=22160, num_segs=22160, num_unique_labels=527, num_positive_labels=52882\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/0bt9lr"\n'
        '--BfvyPmVMo, 20.000, 30.000, "/m/09x0r"\n'
        '-0gonevideo, 30.000, 40.000, "/m/09x0r"\n',
    )
    write(
        folder / "eval_segments.csv",
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '-evaluation, 30.500, 40.500, "/m/09x0r"\n',
    )
    sound(folder / "audio/--4gqARaEJE_0.wav")
    sound(folder / "audio/Y--BfvyPmVMo_20000_30000.flac")
    sound(folder / "eval/-evaluation_30.500.wav")


def make_audiocaps(folder: Path) -> None:
    header = "audiocap_id,youtube_id,start_time,caption\n"
    write(
        folder / "train.csv", header + '91139,r1nicOVtvkQ,130,"A woman talks, then a dog barks"\n'
    )
    write(
        folder / "test.csv",
        header + "103549,7fmOlUlwoNg,30,Rain falls\n103548,7fmOlUlwoNg,30,It rains\n",
    )
    sound(folder / "audio/train/Yr1nicOVtvkQ.wav")
    sound(folder / "audio/test/7fmOlUlwoNg_30.wav")


def make_clotho(folder: Path) -> None:
    captions = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
    metadata = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    for split in ("development", "evaluation"):
        write(
            folder / f"clotho_captions_{split}.csv",
            f'{captions}Distorted {split}.wav,One.,Two.,Three.,Four.,"Five, and more."\n',
        )
        text = f'{metadata}Distorted {split}.wav,muffled;radio;Málaga,1,https://x,"[0, 9]",someone,'
        table = folder / f"clotho_metadata_{split}.csv"
        table.write_bytes(
            (text + "http://creativecommons.org/licenses/by/3.0/\n").encode("latin-1")
        )
        sound(folder / split / f"Distorted {split}.wav")


def make_macs(folder: Path) -> None:
    write(
        folder / "MACS.yaml",
        "files:\n"
        "- filename: airport-barcelona-0-0-a.wav\n"
        "  annotations:\n"
        "  - annotator_id: 62\n"
        "    sentence: a lot of people talking\n"
        "    tags:\n    - adults_talking\n    - footsteps\n"
        "  - annotator_id: 5\n"
        "    sentence: people walk and talk\n"
        "    tags:\n    - adults_talking\n",
    )
    sound(folder / "TAU-urban-acoustic-scenes-2019-development/audio/airport-barcelona-0-0-a.wav")


def make_fsd50k(folder: Path) -> None:
    write(
        folder / "FSD50K.ground_truth/dev.csv",
        "fname,labels,mids,split\n"
        '64760,"Electric_guitar,Guitar","/m/02sgy,/m/0342h",train\n'
        "16399,Medium_engine_(mid_frequency),/t/dd00067,val\n",
    )
    write(folder / "FSD50K.ground_truth/eval.csv", 'fname,labels,mids\n37199,"Bark,Dog","/a,/b"\n')
    for part, names in (("dev", ("64760", "16399")), ("eval", ("37199",))):
        info = {
            name: {"title": "a", "license": f"http://cc.org/{name}", "uploader": "u"}
            for name in names
        }
        path = folder / f"FSD50K.metadata/{part}_clips_info_FSD50K.json"
        write(path, json.dumps(info))
        for name in names:
            sound(folder / f"FSD50K.{part}_audio/{name}.wav")


def make_esc50(folder: Path) -> None:
    write(
        folder / "meta/esc50.csv",
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "3-100038-A-20.wav,3,20,crying_baby,False,100038,A\n",
    )
    sound(folder / "audio/1-100032-A-0.wav")
    sound(folder / "audio/3-100038-A-20.wav")


def make_urbansound8k(folder: Path) -> None:
    write(
        folder / "metadata/UrbanSound8K.csv",
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
        "100263-2-0-117.wav,100263,58.5,62.5,1,10,2,air_conditioner\n",
    )
    sound(folder / "audio/fold5/100032-3-0-0.wav")
    sound(folder / "audio/fold10/100263-2-0-117.wav")


def make_vocalsound(folder: Path) -> None:
    names = {"tr": "f0003_0_cough", "val": "m0004_0_throatclearing", "te": "f0005_1_laughter"}
    for split, name in names.items():
        clip = {"wav": f"/data/sls/vocalsound/data/{name}.wav", "labels": "/m/01b_21"}
        write(folder / f"datafiles/{split}.json", json.dumps({"data": [clip]}))
        sound(folder / f"audio_16k/{name}.wav")


def make_labelled(folder: Path) -> None:
    write(
        folder / "meta.csv",
        "filename,label,licence,split\na.ogg,Propeller airplane,CC0,\nb.ogg,horse,CC BY 4.0,test\n",
    )
    sound(folder / "audio/a.ogg")
    sound(folder / "audio/b.ogg")


MAKERS: dict[str, Callable[[Path], None]] = {
    "audioset": make_audioset,
    "audiocaps": make_audiocaps,
    "clotho": make_clotho,
    "macs": make_macs,
    "fsd50k": make_fsd50k,
    "esc50": make_esc50,
    "urbansound8k": make_urbansound8k,
    "vocalsound": make_vocalsound,
    "labelled": make_labelled,
}
