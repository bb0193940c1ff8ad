"""What users say of served answers, and whether what they ask is still like the data that the contest measured on."""
